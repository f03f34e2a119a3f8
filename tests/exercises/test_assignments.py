"""Every assignment, found by glob: its points, its students' version, and what the grader makes of the obvious answers."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from companion.exercises.checking import all_exercises, check, examine, grade
from tests.exercises import notebooks

SOURCES = notebooks.SOURCES
TEXTS = {path: path.read_text(encoding="utf-8").replace('\\"', '"') for path in SOURCES}
CASES = [
    (path, exercise) for path in SOURCES for exercise in all_exercises().values() if f'"{exercise.id}"' in TEXTS[path]
]
IDS = [f"{path.stem}-{exercise.id}" for path, exercise in CASES]


def function_name(exercise: Any) -> str:
    return exercise.call.split("(")[0]


def released(course: Path, path: Path) -> Path:
    return course / "book/assignments" / path.parent.name / path.name


def test_every_exercise_stands_in_one_assignment() -> None:
    assert SOURCES
    assert sorted(exercise.id for _, exercise in CASES) == sorted(all_exercises())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_an_assignment_is_worth_100_points(path: Path) -> None:
    cells = notebooks.graded(notebooks.read(path))
    inside = [exercise for source, exercise in CASES if source == path]
    assert [cell.metadata.nbgrader.points for cell in cells] == [exercise.points for exercise in inside]
    assert sum(exercise.points for exercise in inside) == 100
    for cell, exercise in zip(cells, inside, strict=True):
        name = function_name(exercise)
        assert cell.source.startswith(f'check("{exercise.id}", {name})\n### BEGIN HIDDEN TESTS')
        assert f'grade("{exercise.id}", {name}, seed=' in cell.source
        assert cell.metadata.nbgrader.locked


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_headers_state_kind_difficulty_minutes_and_points(path: Path) -> None:
    text = "\n".join(cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")
    for source, exercise in CASES:
        if source == path:
            assert f"{exercise.points} points. Builds on" in text.replace("\n", " ")
    assert text.count("Difficulty") == text.count("<details><summary>Hint</summary>") == text.count("</details>")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_release_holds_no_solution_and_no_hidden_test(course: Path, path: Path) -> None:
    text = "".join(released(course, path).read_text().replace('\\"', '"').replace("\\n", "").split())
    hidden = notebooks.secrets(path)
    assert len(hidden) >= 6
    assert not [line for line in hidden if line in text]
    assert "SOLUTION" not in text and "HIDDENTESTS" not in text
    assert not any(cell.get("outputs") for cell in notebooks.read(released(course, path)).cells)


@pytest.fixture(scope="module")
def published() -> dict[Path, str]:
    """What the package and the lessons say, without white space."""
    book = notebooks.ROOT / "book"
    lessons = [p for p in book.rglob("*.ipynb") if not {"exercises", "assignments"} & set(p.relative_to(book).parts)]
    files = [*(notebooks.ROOT / "companion").rglob("*.py"), *lessons]
    return {file: "".join(file.read_text(encoding="utf-8").replace('\\"', '"').split()) for file in files}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_solution_stands_in_the_package_or_a_lesson(published: dict[Path, str], path: Path) -> None:
    assert len(published) > 200
    for file, text in published.items():
        assert not [line for line in notebooks.secrets(path) if line in text], file


@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
def test_the_reference_scores_full(path: Path, exercise: Any) -> None:
    answer = notebooks.functions(path)[function_name(exercise)]
    for seed in range(5 if "predict" in exercise.call else 12):
        assert grade(exercise.id, answer, seed=seed) == exercise.points


@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
def test_the_stub_scores_nothing_and_says_why(course: Path, path: Path, exercise: Any) -> None:
    stub = notebooks.functions(released(course, path))[function_name(exercise)]
    with pytest.raises(NotImplementedError, match="write your answer here"):
        stub(*[None] * stub.__code__.co_argcount)
    first, *rest = examine(exercise.id, stub, 1)
    assert first.detail.startswith(f"{exercise.call} is not written yet")
    assert {finding.detail for finding in rest} == {"not tried"}
    assert grade(exercise.id, stub, seed=1) == 0.0


@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
def test_a_hard_coded_answer_scores_less_than_full(path: Path, exercise: Any) -> None:
    right = notebooks.functions(path)[function_name(exercise)]
    said: list[Any] = []

    def record(*inputs: Any) -> Any:
        said.append(right(*inputs))
        return said[-1]

    assert grade(exercise.id, record, seed=1) == exercise.points
    answers = itertools.cycle(said)
    assert grade(exercise.id, lambda *inputs: next(answers), seed=2) < exercise.points / 2


@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
@pytest.mark.parametrize(
    "nonsense",
    [lambda *_: None, lambda *_: "text", lambda *_: 1 / 0, lambda *_: float("nan"), lambda: 0],
    ids=["None", "text", "raises", "NaN", "no arguments"],
)
def test_nonsense_gets_a_line_for_each_property_and_no_crash(
    path: Path, exercise: Any, nonsense: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    check(exercise.id, nonsense, seed=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(exercise.properties) + 2
    assert lines[-1].startswith("0 of ")
    assert grade(exercise.id, nonsense, seed=0) == 0.0


def test_a_release_leaves_an_instructors_gradebook_alone(course: Path) -> None:
    assert (course / "_build/assignments.db").is_file()
    assert not (course / "grading/gradebook.db").exists()
