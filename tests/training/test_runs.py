"""A table of runs: what was written is read back, none is lost, none is half there, none is made twice."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from companion.training.runs import RunTable, read_runs
from tests.conftest import rejects


@dataclass(frozen=True)
class Run:
    family: str
    width: int
    seed: int
    valid: float

    @property
    def key(self) -> tuple[str, int, int]:
        return self.family, self.width, self.seed


RUN = Run("today", 16, 0, 2.42872)


def test_what_is_added_is_read_back(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "new" / "runs.csv", Run, ("what it is", "of what"))
    changes = {"seed": 0, "valid": 2.5}, {"seed": 1, "valid": float("inf"), "family": 'pairs, "R1"'}
    runs = [table.add(replace(RUN, **change)) for change in changes]
    assert read_runs(table.path, Run) == tuple(runs) == tuple(RunTable(table.path, Run, ("another head",)).runs)
    assert table.path.read_text().startswith("# what it is\n# of what\nfamily,")
    assert table.find(runs[1].key) == runs[1] and table.find(replace(RUN, width=24).key) is None


@pytest.mark.parametrize("cut", [1, 5, 15])
def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "runs.csv"
    table = RunTable(path, Run)
    table.add(RUN)
    table.add(replace(RUN, seed=1))
    path.write_bytes(path.read_bytes()[:-cut])
    again = RunTable(path, Run)
    assert again.runs == [RUN] and again.find(replace(RUN, seed=1).key) is None
    again.add(replace(RUN, seed=2))
    assert [run.seed for run in read_runs(path, Run)] == [0, 2]


def test_a_note_stands_once_and_is_no_run(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "runs.csv", Run)
    table.add(RUN)
    for _ in range(2):
        table.note("the bet")
    table.add(replace(RUN, seed=1))
    lines = table.path.read_text().splitlines()
    assert lines.count("# the bet") == 1 and lines.index("# the bet") == 2
    assert len(read_runs(table.path, Run)) == 2


def test_rejects(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "runs.csv", Run)
    table.add(RUN)
    with rejects("a second time"):
        table.add(replace(RUN, valid=9.0))
    other = tmp_path / "other.csv"
    other.write_text("width,loss\n3,4\n")
    with rejects("columns"):
        read_runs(other, Run)
    other.write_text(table.path.read_text() + "today,1\n")
    with rejects("today,1"):
        read_runs(other, Run)
