"""A recurrent network that writes a string backwards, from one vector or by looking back at all that it has read.

Sutskever, Vinyals & Le, arXiv:1409.3215 (the last state is all that is handed over); Bahdanau, Cho & Bengio, arXiv:1409.0473
(attention): c_t = Σ_i a_ti h_i, with weights a_t = softmax_i(s_t · W h_i) (eq-timeline-look).

Departures: the score is a product, and what is looked up goes to the output and not into the next state, so that all steps of
training run at once. Without attention c_t is the last state, for every t: the networks differ in c_t alone, and W idles.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training.random import randint
from companion.validate import Count, checked

LETTERS = 10


@checked
def strings(n: Count, length: Count, generator: torch.Generator) -> tuple[Int[Tensor, "n length"]]:
    """Random strings of the letters 1 to 10."""
    return (1 + randint(LETTERS, (n, length), generator),)


class Reverser(nn.Module):
    """One GRU reads, one writes from the reader's last state.

    Args:
        look: whether the writer looks back at the reader's states.
        width: of the states.
    """

    @checked
    def __init__(self, *, look: bool, width: Count = 64) -> None:
        super().__init__()
        self.read, self.write = (nn.GRU(width, width, batch_first=True) for _ in range(2))
        self.symbol = nn.Embedding(LETTERS + 1, width)  # 0 begins the output
        self.match = nn.Linear(width, width, bias=False)
        self.letter = nn.Linear(2 * width, LETTERS + 1)
        self.look = look

    def forward(self, source: Int[Tensor, "n length"], target: Int[Tensor, "n length"]) -> Float[Tensor, "n length 11"]:
        """The logits of each letter of the target, given the source and the target's letters before it."""
        states, last = self.read(self.symbol(source))
        asked, _ = self.write(self.symbol(F.pad(target[:, :-1], (1, 0))), last)
        if self.look:
            found = (asked @ self.match(states).transpose(1, 2)).softmax(-1) @ states
        else:
            found = last[0][:, None].expand_as(asked)
        return self.letter(torch.cat([asked, found], -1))


def reversal_loss(model: nn.Module, batch: tuple[Tensor], _: torch.Generator) -> Float[Tensor, ""]:
    """The mean negative log-likelihood of a letter of the reversed string, in nats."""
    target = batch[0].flip(1)
    return F.cross_entropy(model(batch[0], target).flatten(0, 1), target.flatten())


@torch.no_grad()
def letters_right(model: nn.Module, source: Int[Tensor, "n length"]) -> float:
    """The share of the letters that are right, each after the true ones before it."""
    target = source.flip(1)
    return float((model(source, target).argmax(-1) == target).cpu().double().mean())
