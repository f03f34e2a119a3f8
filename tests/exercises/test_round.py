"""Stock nbgrader's whole round for every assignment: generate, autograde, feedback, export, by its command line."""

from functools import partial
from pathlib import Path

import pytest

from tests.exercises import notebooks
from tests.exercises.breaks import BREAKS, points
from tests.exercises.rounds import Round, broken, students

pytestmark = pytest.mark.slow
for_each = partial(pytest.mark.parametrize, "path", ids=lambda path: path.stem)
HALVES = [path for path in notebooks.SOURCES if "half" in students(path)]
FULL = 100.0


@for_each(notebooks.SOURCES)
def test_all_hand_in_and_their_grades_come_out_so(round_of_grading: Round, path: Path) -> None:
    """All right; in some every second one broken, or the stub: cell by cell in the gradebook, their sums in the export."""
    name = path.parent.name
    worth = {
        cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points
        for cell in notebooks.graded(notebooks.read(path))
    }
    for student, right in students(path).items():
        wanted = {
            (name, student, cell): (full if cell.removesuffix("-points") in right else 0.0, full)
            for cell, full in worth.items()
        }
        got = {key: value for key, value in round_of_grading.points.items() if key[:2] == (name, student)}
        assert got == wanted
        assert round_of_grading.totals[name, student] == (sum(got for got, _ in wanted.values()), FULL)
    every = {student: round_of_grading.totals[name, student][0] for student in students(path)}
    assert every["all"] == FULL > every.get("half", 50) > every.get("blank", 0) == 0


def test_each_way_to_break_an_answer_is_graded_by_a_kernel() -> None:
    assert {how for path in HALVES for how in broken(path).values()} == {"left", *BREAKS}


@for_each(HALVES)
def test_the_cells_run_here_are_worth_what_they_are_in_a_kernel(round_of_grading: Round, path: Path) -> None:
    """So `test_breaks` may do without kernels; and a test cell that was deleted stays away and is worth nothing."""
    executed = notebooks.read(round_of_grading.course / "grading/autograded/half" / path.parent.name / path.name)
    here = points(executed)
    for (assignment, student, cell), (got, _) in round_of_grading.points.items():
        if (assignment, student) == (path.parent.name, "half"):
            assert got == here.get(cell, 0.0)
            assert (cell in here) == (broken(path).get(cell.removesuffix("-points")) != "deleted test cell")


@for_each(notebooks.SOURCES)
def test_the_feedback_says_what_holds_and_what_is_missing(round_of_grading: Round, path: Path) -> None:
    words = {"all": "✓", "half": "✓", "blank": "is not written yet"}
    for student in students(path):
        page = round_of_grading.course / "grading/feedback" / student / path.parent.name / f"{path.stem}.html"
        assert words[student] in page.read_text(encoding="utf-8")


@for_each(notebooks.SOURCES)
def test_right_answers_run_without_an_error_or_a_warning(round_of_grading: Round, path: Path) -> None:
    executed = notebooks.read(round_of_grading.course / "grading/autograded/all" / path.parent.name / path.name)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
