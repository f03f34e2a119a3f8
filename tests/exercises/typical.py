"""What the tests of every chapter's graders share: typical wrong answers, and what must become of them."""

from collections.abc import Callable
from typing import Any

import pytest

from companion.exercises.checking import all_exercises, examine, grade
from tests.exercises import notebooks

# Exercise, wrong answer, the points that it still gets, and what must be said of it.
Row = tuple[str, Callable[..., Any], int, str]


def right(assignment: str) -> dict[str, Callable[..., Any]]:
    """The functions of an assignment's source: the references, and what is given with bugs."""
    return notebooks.functions(notebooks.read(source(assignment)))


def source(assignment: str) -> Any:
    return next(path for path in notebooks.SOURCES if path.stem == assignment)


def rows(table: list[Row]) -> Any:
    """The decorator that runs a test for each row."""
    ids = [f"{row[0]}-{row[3].replace(' ', '-')}" for row in table]
    return pytest.mark.parametrize(("exercise", "wrong", "points", "name"), table, ids=ids)


def loses_by_name(exercise: str, wrong: Callable[..., Any], points: int, name: str, printed: Callable[[], str]) -> None:
    """The wrong answer keeps exactly these points with several inputs, and its mistake is called by its name."""
    assert points < all_exercises()[exercise].points
    for seed in (1, 2, 3):
        got = grade(exercise, wrong, seed=seed)
        said = printed()
        assert name in said, said
        assert got == points, said


def complete(table: list[Row], assignment: str, chapter: str) -> None:
    """Three different mistakes at least for each exercise of the chapter, and no message that tells the solution."""
    exercises = [id for id in all_exercises() if id.startswith(f"{chapter}.")]
    for exercise in exercises:
        assert len({name for id, _, _, name in table if id == exercise}) >= 3, exercise
    assert {id for id, *_ in table} == set(exercises)
    hidden = notebooks.secrets(source(assignment))
    for exercise, wrong, _, _ in table:
        said = "".join("".join(str(finding).split()) for finding in examine(exercise, wrong, 3))
        assert not [line for line in hidden if line in said]
