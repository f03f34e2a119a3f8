"""The trainings of the scaling laws as rows of tables that ship with the course (`companion.training.runs`)."""

from dataclasses import dataclass
from pathlib import Path

from companion.training.runs import read_runs

__all__ = ["Run", "shipped_runs"]


@dataclass(frozen=True)
class Run:
    """One finished training.

    Attributes:
        family: of the model.
        compute: the operations that it was given; a run spends them in whole batches.
        width: of the model.
        rate: the highest learning rate.
        seed: of weights and passages.
        parameters: N, the token table included.
        table: how many of them are the token table.
        tokens: D, characters read.
        spent: C, operations of the training, counted.
        valid: nats a character on the validation text, by which choices are made.
        test: the same on the test text, which is reported.
        seconds: of one core, for training and measuring.
    """

    family: str
    compute: float
    width: int
    rate: float
    seed: int
    parameters: int
    table: int
    tokens: int
    spent: float
    valid: float
    test: float
    seconds: float

    @property
    def key(self) -> tuple[str, float, int, float, int]:
        """What makes a run: two of the same key are the same run."""
        return self.family, self.compute, self.width, self.rate, self.seed


def shipped_runs(recipe: str) -> tuple[Run, ...]:
    """The runs that ship with the course: of the recipe ``"valleys"`` or ``"families"``."""
    return read_runs(Path(__file__).with_name(f"{recipe}.csv"), Run)
