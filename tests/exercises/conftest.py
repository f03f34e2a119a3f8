"""The release versions, made once for each session by stock nbgrader."""

import shutil
from pathlib import Path

import pytest

from tests.book.build import generate
from tests.exercises.notebooks import ROOT


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what nbgrader needs, with all assignments generated in it."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    shutil.copytree(ROOT / "book/exercises", folder / "book/exercises")
    shutil.copytree(ROOT / "grading", folder / "grading", ignore=lambda *_: ["submitted", "gradebook.db"])
    generate(folder)
    return folder
