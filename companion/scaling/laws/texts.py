"""The three texts of the scaling runs, and one training measured on two of them.

All runs read Shakespeare by the character (`companion.data.text`). Choices are made on the validation plays and reported on the
test plays; of both, pieces from all over the split are read, so that one play does not decide.
"""

import time
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from companion.data.text import shakespeare
from companion.language.ngrams import encode
from companion.language.scoring import mean_nats
from companion.scaling.laws.family import BATCH, CONTEXT, FINAL, train_to_end
from companion.scaling.laws.runs import Run
from companion.training import TrainingDiverged
from companion.validate import Count, Positive, checked

__all__ = ["Texts", "load_texts", "train_and_measure"]

PIECES, PIECE = 32, 1024


@dataclass(frozen=True)
class Texts:
    """Token numbers of the text to learn from and of the two to be measured on; ``alphabet`` names the tokens."""

    alphabet: str
    train: Int[Tensor, "n"]
    valid: Int[Tensor, "m"]
    test: Int[Tensor, "k"]

    def to(self, device: torch.device | str) -> "Texts":
        """The texts on a device, where models are then trained."""
        return Texts(self.alphabet, self.train.to(device), self.valid.to(device), self.test.to(device))


@checked
def load_texts(*, pieces: Count = PIECES) -> Texts:
    """Shakespeare's training plays, and ``pieces`` pieces of 1,024 characters of the validation and of the test plays."""
    text = shakespeare("train").text
    alphabet = "".join(sorted(set(text)))

    def spread(split: str) -> Tensor:
        whole = "".join(c for c in shakespeare(split).text if c in alphabet)
        step = len(whole) // pieces
        return encode("".join(whole[i * step : i * step + PIECE] for i in range(pieces)), alphabet)

    return Texts(alphabet, encode(text, alphabet), spread("valid"), spread("test"))


@checked
def train_and_measure(
    model: nn.Module,
    cost: Count,
    texts: Texts,
    family: str,
    compute: Positive,
    width: Count,
    rate: Positive,
    seed: int,
    *,
    final: float = FINAL,
) -> Run:
    """Train a model on what a compute allows, to the end of its own schedule, and measure it.

    Args:
        model: untrained, with the token table named ``tokens``; it is moved to where the texts are.
        cost: operations of one forward pass for one token; a training is three of them.
        texts: what to read and what to be measured on.
        family: of the model, and so on: what the run is called in the table.
        final: the share of the rate at the end; 1 for a rate that never falls.

    Returns:
        The run; its losses are infinite if the training diverged.
    """
    started, batch = time.process_time(), BATCH * CONTEXT
    tokens = batch * max(1, round(compute / (3 * cost * batch)))
    parameters = sum(p.numel() for p in model.parameters())
    try:
        train_to_end(
            model.to(texts.train.device), texts.train, tokens, lr=rate, seed=1_000_003 * seed + width, final=final
        )
        valid, test = (mean_nats(model, ids) for ids in (texts.valid, texts.test))
    except TrainingDiverged:
        valid = test = float("inf")
    table = model.tokens.weight.numel()
    seconds = round(time.process_time() - started, 2)
    return Run(
        family, compute, width, rate, seed, parameters, table, tokens, float(3 * cost * tokens),
        round(valid, 5), round(test, 5), seconds,
    )  # fmt: skip
