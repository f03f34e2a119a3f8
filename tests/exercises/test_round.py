"""Stock nbgrader's whole round for every assignment: generate, autograde, feedback, export, by its command line."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.book.build import environment
from tests.exercises import notebooks

FULL = 100.0


def nbgrader(course: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=course, env=environment(), capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def answer(release: NotebookNode, source: NotebookNode, chosen: set[str]) -> NotebookNode:
    """The released notebook with the reference's answer in the cells of these grade ids."""
    right = {cell.metadata.nbgrader.grade_id: cell.source for cell in source.cells if "nbgrader" in cell.metadata}
    for cell in release.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") and about.grade_id in chosen:
            cell.source = right[about.grade_id]
    return release


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks.SOURCES, ids=lambda path: path.stem)
def test_a_whole_round_of_grading(course: Path, path: Path, tmp_path: Path) -> None:
    """Three hand in: all right, every second exercise right, and the stub; their grades come out so."""
    course = shutil.copytree(course, tmp_path / "course")
    name, source = path.parent.name, notebooks.read(path)
    nbgrader(course, "generate_assignment", name, "--force")  # into the instructor's own gradebook
    tasks = [
        cell.metadata.nbgrader.grade_id for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")
    ]
    points = {cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points for cell in notebooks.graded(source)}
    half = set(tasks[::2])
    wanted = {"all": FULL, "half": sum(points[f"{task}-points"] for task in half), "blank": 0.0}
    for student, chosen in (("all", set(tasks)), ("half", half), ("blank", set())):
        folder = course / "grading/submitted" / student / name
        folder.mkdir(parents=True)
        release = notebooks.read(course / "book/assignments" / name / path.name)
        nbformat.write(answer(release, source, chosen), folder / path.name)
    nbgrader(course, "autograde", name)
    nbgrader(course, "generate_feedback", name)
    nbgrader(course, "export", "--to", str(course / "grades.csv"))
    with open(course / "grades.csv", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["assignment"] == name and row["student_id"] in wanted]
    assert {row["student_id"]: float(row["score"]) for row in rows} == wanted
    assert {float(row["max_score"]) for row in rows} == {FULL}
    page = (course / "grading/feedback/half" / name / f"{path.stem}.html").read_text(encoding="utf-8")
    assert "is not written yet" in page and "✓" in page
    executed = notebooks.read(course / "grading/autograded/all" / name / path.name)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
