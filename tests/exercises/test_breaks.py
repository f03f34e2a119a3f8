"""One broken answer costs its own points only, whatever broke it and wherever it stands."""

from pathlib import Path

import pytest

from companion.exercises import checking
from tests.exercises import notebooks
from tests.exercises.breaks import BREAKS, points
from tests.exercises.rounds import tasks

CASES = [(path, task) for path in notebooks.SOURCES for task in tasks(path)]


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize(("path", "task"), CASES, ids=[f"{path.stem}-{task}" for path, task in CASES])
def test_a_broken_answer_costs_its_own_points_only(
    path: Path, task: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test cell that is gone is worth nothing, as in nbgrader's default. What stands above has run before."""
    monkeypatch.setattr(checking, "check", lambda exercise, function: None)  # it gives no points, and takes as long
    notebook = notebooks.read(path)
    tests = notebooks.graded(notebook)
    below = tests[tasks(path).index(task) :]
    notebook.cells = [cell for cell in notebook.cells if cell in below or cell not in tests]
    BREAKS[how](notebook, task)
    full = {cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points for cell in below}
    assert {**dict.fromkeys(full, 0.0), **points(notebook)} == {**full, f"{task}-points": 0.0}


@pytest.mark.parametrize("path", notebooks.SOURCES, ids=lambda path: path.stem)
def test_an_answer_that_nobody_broke_has_its_points(path: Path) -> None:
    assert sum(points(notebooks.read(path)).values()) == 100
