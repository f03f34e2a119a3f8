"""Finished trainings as rows of a table: what each was, what it cost, how good it became.

A table is a text file: lines that begin with # say what it is, then the names of the columns, then a run a line. A run is
written in one piece when it has ended (`RunTable.add`), so a recipe that is stopped goes on where it was: it asks the table
before it trains. A last line without its end is what a crash left of a run; it is cut off, and the run is made again.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from companion.validate import checked

__all__ = ["Run", "RunTable", "read_runs", "shipped_runs"]


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


_COLUMNS = [field.name for field in fields(Run)]
_TYPES = [field.type for field in fields(Run)]


class RunTable:
    """A file of runs that grows by a line a run.

    Args:
        path: the file; made with its folder if it is not there.
        about: what stands at its head, a line each, if it is made now.

    Attributes:
        runs: all of them, in the order in which they ended.
    """

    @checked
    def __init__(self, path: Path, about: Sequence[str] = ()) -> None:
        self.path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write("w", "".join(f"# {line}\n" for line in about) + ",".join(_COLUMNS) + "\n")
        whole = path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        with open(path, "r+b") as stream:
            stream.truncate(len(whole))
        self.runs = list(read_runs(path))
        self._known = {run.key: run for run in self.runs}

    def find(self, key: tuple[str, float, int, float, int]) -> Run | None:
        """The run of that `Run.key`, if it was made."""
        return self._known.get(key)

    @checked
    def add(self, run: Run) -> Run:
        """Write a run behind the others and wait until the disk has it.

        Raises:
            ValueError: the table has this run already.
        """
        if run.key in self._known:
            raise ValueError(f"run: got {run.key} a second time, wanted one that {self.path.name} has not")
        self._write("a", ",".join(map(str, asdict(run).values())) + "\n")
        self.runs.append(run)
        self._known[run.key] = run
        return run

    @checked
    def note(self, line: str) -> None:
        """Write a line about what follows, unless it stands there already."""
        line = f"# {line}\n"
        if line not in self.path.read_text(encoding="utf-8"):
            self._write("a", line)

    def _write(self, mode: str, text: str) -> None:
        with open(self.path, mode, encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())


@checked
def read_runs(path: Path) -> tuple[Run, ...]:
    """The runs of a table.

    Raises:
        ValueError: other columns, or a line that is none; the message names it.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    head, *rows = csv.reader(lines)
    if head != _COLUMNS:
        raise ValueError(f"{path.name}: got the columns {head}, wanted {_COLUMNS}")
    runs = []
    for row in rows:
        try:
            runs.append(Run(*(kind(value) for kind, value in zip(_TYPES, row, strict=True))))
        except ValueError as wrong:
            raise ValueError(f"{path.name}: got the line {','.join(row)!r}, wanted one number a column") from wrong
    return tuple(runs)


def shipped_runs(recipe: str) -> tuple[Run, ...]:
    """The runs that ship with the course: of the recipe ``"valleys"`` or ``"families"``."""
    return read_runs(Path(__file__).with_name(f"{recipe}.csv"))
