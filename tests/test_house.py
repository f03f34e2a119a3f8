"""One name, four places: a lesson's code and its proof bear the lesson's name; a shipped model has one name everywhere."""

import json
from pathlib import Path

import pytest

from companion.models import all_recipes
from tests.lessons.notebooks import ROOT, lessons, name

LESSONS = [name(path) for path in lessons() if "/" in name(path)]
# The exercises' checks are proved by the tests of their chapter; the confined program by those of what starts it.
ELSEWHERE = ("exercises/", "code/sandbox/cell.py")
MODULES = sorted(path.relative_to(ROOT / "companion") for path in (ROOT / "companion").rglob("[a-z]*.py"))
MODULES = [module for module in MODULES if not module.as_posix().startswith(ELSEWHERE)]


def as_module_or_package(folder: Path, subject: str, prefix: str = "") -> bool:
    return (folder / f"{prefix}{subject}.py").is_file() or (folder / subject).is_dir()


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_its_module_and_its_tests_under_its_name(lesson: str) -> None:
    chapter, _, subject = lesson.partition("/")
    room = chapter.split("_", 2)[2]
    assert as_module_or_package(ROOT / "companion" / room, subject), f"companion/{room}/{subject}.py, or a package"
    assert as_module_or_package(ROOT / "tests" / room, subject, "test_"), (
        f"tests/{room}/test_{subject}.py, or a package"
    )


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_its_tests_at_the_same_place(module: Path) -> None:
    assert (ROOT / "tests" / module.parent / f"test_{module.name}").is_file(), (
        f"tests/{module.parent}/test_{module.name}"
    )


@pytest.mark.parametrize("model", sorted(all_recipes()))
def test_a_shipped_model_has_one_name(model: str) -> None:
    """Module, recipe, weights and card."""
    assert (ROOT / "companion" / "models" / f"{model}.py").is_file()
    assert (ROOT / "companion" / "weights" / f"{model}.safetensors").is_file()
    assert json.loads((ROOT / "companion" / "weights" / f"{model}.json").read_text())["name"] == model
