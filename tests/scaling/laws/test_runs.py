"""A table of runs: what was written is read back, none is lost, none is half there, none is made twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from companion.scaling.laws.runs import Run, RunTable, read_runs, shipped_runs
from tests.conftest import rejects

RUN = Run("today", 6.3e9, 16, 0.02, 0, 7232, 1264, 93440, 6306078720.0, 2.42872, 2.42277, 1.4)


def test_what_is_added_is_read_back(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "new" / "runs.csv", ("what it is", "of what"))
    runs = [table.add(replace(RUN, seed=seed, valid=valid)) for seed, valid in ((0, 2.5), (1, float("inf")))]
    assert read_runs(table.path) == tuple(runs) == tuple(RunTable(table.path, ("another head",)).runs)
    assert table.path.read_text().startswith("# what it is\n# of what\nfamily,")
    assert table.find(runs[1].key) == runs[1] and table.find(replace(RUN, width=24).key) is None


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "runs.csv"
    table = RunTable(path)
    table.add(RUN)
    table.add(replace(RUN, seed=1))
    path.write_bytes(path.read_bytes()[:-cut])
    again = RunTable(path)
    assert again.runs == [RUN] and again.find(replace(RUN, seed=1).key) is None
    again.add(replace(RUN, seed=2))
    assert [run.seed for run in read_runs(path)] == [0, 2]


def test_a_note_stands_once_and_is_no_run(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "runs.csv")
    table.add(RUN)
    for _ in range(2):
        table.note("the bet")
    table.add(replace(RUN, seed=1))
    lines = table.path.read_text().splitlines()
    assert lines.count("# the bet") == 1 and lines.index("# the bet") == 2
    assert len(read_runs(table.path)) == 2


@pytest.mark.parametrize("recipe", ["valleys", "families"])
def test_shipped_runs_spent_what_they_were_given(recipe: str) -> None:
    """To within half a batch; and every loss is a loss."""
    runs = shipped_runs(recipe)
    assert len({run.key for run in runs}) == len(runs) > 60
    for run in runs:
        per_batch = run.spent / run.tokens * 256
        assert run.tokens % 256 == 0 and abs(run.spent - run.compute) <= per_batch / 2
        assert 0 < run.table < run.parameters and run.seconds > 0
        assert run.valid == run.test == float("inf") or 1 < run.valid < 5 > run.test > 1


@pytest.mark.parametrize("recipe", ["valleys", "families"])
def test_a_recipe_takes_at_most_ninety_minutes_on_two_cores(recipe: str) -> None:
    assert sum(run.seconds for run in shipped_runs(recipe)) <= 2 * 90 * 60


def test_rejects(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "runs.csv")
    table.add(RUN)
    with rejects("a second time"):
        table.add(replace(RUN, valid=9.0))
    other = tmp_path / "other.csv"
    other.write_text("width,loss\n3,4\n")
    with rejects("columns"):
        read_runs(other)
    other.write_text(table.path.read_text() + "today,1\n")
    with rejects("today,1"):
        read_runs(other)
