"""Every chapter's graders: typical wrong answers lose the points of what they break, by name, and no message helps them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from companion.exercises.checking import all_exercises, examine, grade
from tests.exercises import notebooks
from tests.exercises.typical import Row


def table(path: Path) -> list[Row]:
    """``WRONG`` of the room's own tests, so that no assignment goes without: `test_code` for ``3_05_code``."""
    return importlib.import_module(f"tests.exercises.test_{path.stem.split('_', 2)[2]}").WRONG


TABLES = {path: table(path) for path in notebooks.SOURCES}
ROWS = [row for rows in TABLES.values() for row in rows]


@pytest.mark.parametrize(
    ("exercise", "wrong", "points", "name"), ROWS, ids=[f"{row[0]}-{row[3].replace(' ', '-')}" for row in ROWS]
)
def test_a_typical_wrong_answer_loses_points_by_name(
    exercise: str, wrong: Callable[..., Any], points: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It keeps exactly these points with several inputs, and its mistake is called by its name."""
    assert points < all_exercises()[exercise].points
    for seed in (1, 2, 3):
        got = grade(exercise, wrong, seed=seed)
        said = capsys.readouterr().out
        assert name in said, said
        assert got == points, said


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_each_exercise_has_three_typical_wrong_answers(path: Path) -> None:
    chapter = "{}.{}.".format(*map(int, path.stem.split("_")[:2]))  # 3_05_code is 3.5
    exercises = {id for id in all_exercises() if id.startswith(chapter)}
    assert {id for id, *_ in TABLES[path]} == exercises
    for exercise in exercises:
        assert len({name for id, _, _, name in TABLES[path] if id == exercise}) >= 3, exercise


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_no_message_gives_the_answer_away(path: Path) -> None:
    """What a student can make the check say never holds a line of the solution."""
    hidden = notebooks.secrets(path)
    for exercise, wrong, _, _ in TABLES[path]:
        said = "".join("".join(str(finding).split()) for finding in examine(exercise, wrong, 3))
        assert not [line for line in hidden if line in said]
