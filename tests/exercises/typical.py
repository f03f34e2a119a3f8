"""What every chapter's table of typical wrong answers is made of; `test_typical` tries all tables."""

from collections.abc import Callable
from typing import Any

from tests.exercises import notebooks

# Exercise, wrong answer, the points that it still gets, and what must be said of it.
Row = tuple[str, Callable[..., Any], int, str]


def right(assignment: str) -> dict[str, Callable[..., Any]]:
    """The functions of an assignment's source: the references, and what is given with bugs."""
    return notebooks.functions(next(path for path in notebooks.SOURCES if path.stem == assignment))
