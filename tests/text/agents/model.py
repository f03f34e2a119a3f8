"""A model that writes what it is told to, and a small untrained one, for the tests of this folder."""

import torch
from torch import Tensor, nn

from companion.text.agents.tools import ASKED, TOKENS
from companion.text.agents.wandering import CONTEXT
from companion.text.gpt import GPT, GPTConfig
from tests.oracles import Rereader


class Told(Rereader):
    """Writes a script, whatever the tools put between: at each place the script's next token that is its own.

    Args:
        scripts: for each row all tokens of its run, the tools' places included (what stands there is not written by it).
    """

    def __init__(self, scripts: list[list[int]]) -> None:
        super().__init__()
        self.scripts, self.config = scripts, GPTConfig(len(TOKENS), context=CONTEXT, width=8, layers=1, heads=1)
        self.weight = nn.Parameter(torch.zeros(1))

    def logits(self, ids: Tensor) -> Tensor:
        logits = torch.zeros(*ids.shape, len(TOKENS))
        for row, script in enumerate(self.scripts):
            for place in range(ASKED - 1, ids.shape[1]):
                step = place - ASKED + 1
                logits[row, place, script[step] if step < len(script) else 1] = 50.0
        return logits


def small(seed: int = 0) -> GPT:
    """One layer of width 16, untrained."""
    torch.manual_seed(seed)
    return GPT(GPTConfig(len(TOKENS), context=CONTEXT, width=16, layers=1, heads=2, init_std=0.25))
