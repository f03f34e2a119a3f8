"""One round of a course with stock nbgrader: all assignments, three students, each command once."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from tests.book.build import environment
from tests.exercises import notebooks
from tests.exercises.breaks import BREAKS

EVERYTHING = "--assignment=*"  # one process for all assignments and students, instead of one for each


@dataclass(frozen=True)
class Round:
    """What a round of grading left behind.

    Attributes:
        course: the folder with submissions, graded notebooks, feedback and gradebook.
        points: from the gradebook, for (assignment, student, grade id of the cell): got and possible.
        totals: from the exported table, for (assignment, student): got and possible.
    """

    course: Path
    points: dict[tuple[str, str, str], tuple[float, float]]
    totals: dict[tuple[str, str], tuple[float, float]]


def tasks(path: Path) -> list[str]:
    """The grade ids of an assignment's cells that wait for an answer, in order."""
    cells = [cell.metadata.get("nbgrader", {}) for cell in notebooks.read(path).cells]
    return [about.grade_id for about in cells if about.get("solution")]


def students(path: Path) -> dict[str, set[str]]:
    """Who hands in, and which tasks they have right: all; in two assignments (each costs a kernel) every second one; none."""
    place, some = notebooks.SOURCES.index(path), {"all": set(tasks(path))}
    if place in (0, 3):  # between them each way to break an answer
        some["half"] = set(tasks(path)[1::2])
    return some | {"blank": set()} if place == 0 else some


def broken(path: Path) -> dict[str, str]:
    """What "half" did to the other tasks: each of `BREAKS` in turn, and now and then it left the stub."""
    ways = cycle(["left", *BREAKS])
    return dict(zip(tasks(path)[::2], islice(ways, notebooks.SOURCES.index(path), None), strict=False))


def grade_all(course: Path) -> Round:
    """Release into the instructor's own gradebook, hand in, grade, give feedback and export, by nbgrader's command line."""
    _nbgrader(course, "generate_assignment", EVERYTHING)
    for path in notebooks.SOURCES:
        for student in students(path):
            folder = course / "grading/submitted" / student / path.parent.name
            folder.mkdir(parents=True)
            release = notebooks.read(course / "grading/release" / path.parent.name / path.name)
            nbformat.write(_handed_in(release, path, student), folder / path.name)
    _nbgrader(course, "autograde", EVERYTHING)
    _nbgrader(course, "generate_feedback", EVERYTHING)
    _nbgrader(course, "export", "--to", str(course / "grades.csv"))
    return Round(course, _points(course), _totals(course))


def _points(course: Path) -> dict[tuple[str, str, str], tuple[float, float]]:
    with Gradebook(f"sqlite:///{(course / 'grading/gradebook.db').as_posix()}") as book:
        return {
            (path.parent.name, student, grade.name): (grade.score, grade.max_score)
            for path in notebooks.SOURCES
            for student in students(path)
            for grade in book.find_submission_notebook(path.stem, path.parent.name, student).grades
        }


def _totals(course: Path) -> dict[tuple[str, str], tuple[float, float]]:
    with open(course / "grades.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {(row["assignment"], row["student_id"]): (float(row["score"]), float(row["max_score"])) for row in rows}


def _handed_in(release: NotebookNode, path: Path, student: str) -> NotebookNode:
    ways = {task: how for task, how in broken(path).items() if student == "half" and how in BREAKS}
    notebook = answered(release, notebooks.read(path), students(path)[student] | set(ways))
    for task, how in ways.items():
        BREAKS[how](notebook, task)
    return notebook


def answered(release: NotebookNode, source: NotebookNode, chosen: set[str]) -> NotebookNode:
    """The released notebook with the reference's answer in the cells of these grade ids."""
    right = {cell.metadata.nbgrader.grade_id: cell.source for cell in source.cells if "nbgrader" in cell.metadata}
    for cell in release.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") and about.grade_id in chosen:
            cell.source = right[about.grade_id]
    return release


def _nbgrader(course: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=course, env=environment(), capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
