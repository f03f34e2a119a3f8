"""Made once for each session by stock nbgrader: the release versions, and one course graded for all students."""

import shutil
from pathlib import Path

import pytest

from tests.book.build import generate
from tests.exercises.notebooks import ROOT
from tests.exercises.rounds import Round, grade_all


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what nbgrader needs, with all assignments generated in it."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    shutil.copytree(ROOT / "book/exercises", folder / "book/exercises")
    shutil.copytree(ROOT / "grading", folder / "grading", ignore=lambda _, names: set(names) - {".gitignore"})
    generate(folder)
    return folder


@pytest.fixture(scope="session")
def round_of_grading(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """All assignments, handed in by all students and graded in one go, in another copy: `course` stays as it was made."""
    return grade_all(shutil.copytree(course, tmp_path_factory.mktemp("round") / "course"))
