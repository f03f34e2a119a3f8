"""Every chapter's graders: typical wrong answers lose the points of what they break, by name, and no message helps them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from companion.exercises.checking import all_exercises, grade
from tests.exercises import notebooks
from tests.exercises.typical import Row


def table(path: Path) -> list[Row]:
    """``WRONG`` of the room's own tests, so that no assignment goes without: `test_code` for ``3_05_code``."""
    return importlib.import_module(f"tests.exercises.test_{path.stem.split('_', 2)[2]}").WRONG


TABLES = {path: table(path) for path in notebooks.SOURCES}
ROWS = [(path, *row) for path, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize(
    ("path", "exercise", "wrong", "points", "name"), ROWS, ids=[f"{row[1]}-{row[4].replace(' ', '-')}" for row in ROWS]
)
def test_a_typical_wrong_answer_loses_points_by_name_and_no_message_gives_the_answer_away(
    path: Path,
    exercise: str,
    wrong: Callable[..., Any],
    points: int,
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps exactly these points with several inputs, its mistake is called by its name, and no line of a solution is."""
    assert points < all_exercises()[exercise].points
    monkeypatch.setattr(
        "companion.exercises.answers.TIME_LIMIT", 1.5
    )  # processor time: for those that would take for ever
    for seed in (1, 2):
        got = grade(exercise, wrong, seed=seed)
        said = capsys.readouterr().out
        assert name in said, said
        assert got == points, said
        squeezed = "".join(said.split())
        assert not [line for line in notebooks.secrets(path) if line in squeezed]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_each_exercise_has_three_typical_wrong_answers(path: Path) -> None:
    chapter = "{}.{}.".format(*map(int, path.stem.split("_")[:2]))  # 3_05_code is 3.5
    exercises = {id for id in all_exercises() if id.startswith(chapter)}
    assert {id for id, *_ in TABLES[path]} == exercises
    for exercise in exercises:
        assert len({name for id, _, _, name in TABLES[path] if id == exercise}) >= 3, exercise
