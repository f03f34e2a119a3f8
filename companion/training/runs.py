"""Finished trainings as rows of a table, which grows by a line a run and can be gone on with.

A table is a text file: lines that begin with # say what it is, then the names of the columns, then a run a line. A run is
written in one piece when it has ended (`RunTable.add`), so a recipe that is stopped goes on where it was: it asks the table
before it trains. A last line without its end is what a crash left of a run; it is cut off, and the run is made again.
"""

import csv
import io
import os
from collections.abc import Hashable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from companion.validate import checked

R = TypeVar("R")


class RunTable(Generic[R]):
    """A file of runs that grows by a line a run.

    Args:
        path: the file; made with its folder if it is not there.
        kind: the dataclass of its rows, of texts and numbers; two runs of the same ``key`` are the same run.
        about: what stands at its head, a line each, if it is made now.

    Attributes:
        runs: all of them, in the order in which they ended.
    """

    @checked
    def __init__(self, path: Path, kind: type[R], about: Sequence[str] = ()) -> None:
        self.path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write("w", "".join(f"# {line}\n" for line in about) + ",".join(_columns(kind)) + "\n")
        whole = path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        with open(path, "r+b") as stream:
            stream.truncate(len(whole))
        self.runs = list(read_runs(path, kind))
        self._known = {run.key: run for run in self.runs}

    def find(self, key: Hashable) -> R | None:
        """The run of that key, if it was made."""
        return self._known.get(key)

    @checked
    def add(self, run: R) -> R:
        """Write a run behind the others and wait until the disk has it.

        Raises:
            ValueError: the table has this run already.
        """
        if run.key in self._known:
            raise ValueError(f"run: got {run.key} a second time, wanted one that {self.path.name} has not")
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(asdict(run).values())
        self._write("a", line.getvalue())
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
def read_runs(path: Path, kind: type[R]) -> tuple[R, ...]:
    """The runs of a table.

    Raises:
        ValueError: other columns, or a line that is none; the message names it.
    """
    columns = _columns(kind)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    head, *rows = csv.reader(lines)
    if head != [*columns]:
        raise ValueError(f"{path.name}: got the columns {head}, wanted {[*columns]}")
    runs = []
    for row in rows:
        try:
            runs.append(kind(*(read(value) for read, value in zip(columns.values(), row, strict=True))))
        except ValueError as wrong:
            raise ValueError(f"{path.name}: got the line {','.join(row)!r}, wanted one number a column") from wrong
    return tuple(runs)


def _columns(kind: type) -> dict[str, Any]:
    return {field.name: field.type for field in fields(kind)}
