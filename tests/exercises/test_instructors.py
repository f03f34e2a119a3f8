"""The instructors' page, followed to the letter in a copy of the course where the book was built before."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.book.build import environment, generate
from tests.exercises.notebooks import ROOT, graded, read
from tests.exercises.rounds import answered, tasks

PAGE = (ROOT / "book/instructors/index.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)
OPEN = COMMANDS[0].splitlines()[0]
STUDENT = "ada"


def quoted(pattern: str) -> str:
    """The path of this form that the page names."""
    return re.search(f"`({pattern})`", PAGE)[1]  # type: ignore[index]


def follow(course: Path, commands: str) -> None:
    """Run a block of commands in the terminal that the page's first command has prepared: nothing else finds the tools."""
    commands = f"{OPEN}\n{commands.removeprefix(OPEN)}".replace("STUDENT", STUDENT)
    if not Path(sys.prefix, "bin/activate").is_file():  # a conda environment, which is active already
        commands = commands.removeprefix(OPEN)
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=course, env={**environment(), "PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def score(course: Path) -> float:
    with open(course / "grading/grades.csv", encoding="utf-8") as table:
        (row,) = csv.DictReader(table)
    assert row["student_id"] == STUDENT
    return float(row["score"])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the page's blocks are for a shell of Linux or macOS")
def test_the_commands_of_the_page_hand_out_grade_and_grade_again(tmp_path: Path) -> None:
    hand_out, grade, again = COMMANDS
    assert OPEN.endswith("activate")
    (name,) = set(re.findall(r"\b3_\d\d_\w+\b", "".join(COMMANDS)))
    source = ROOT / "book/exercises" / name / f"{name}.ipynb"
    course = shutil.copytree(ROOT / "book/exercises" / name, tmp_path / "book/exercises" / name).parents[2]
    (course / "grading").mkdir()
    shutil.copy(ROOT / "nbgrader_config.py", course)
    (course / ".venv").symlink_to(sys.prefix)
    generate(course)  # what `make book` does to the assignments

    follow(course, hand_out)
    assert (course / quoted("grading/gradebook.db")).is_file()
    release = course / quoted(f"grading/release/{name}/") / f"{name}.ipynb"
    place = course / quoted(f"grading/submitted/STUDENT/{name}/{name}.ipynb").replace("STUDENT", STUDENT)
    place.parent.mkdir(parents=True)
    first, *_ = tasks(source)
    nbformat.write(answered(read(release), read(source), {first}), place)

    follow(course, grade)
    assert score(course) == graded(read(source))[0].metadata.nbgrader.points
    feedback = course / "grading/feedback" / STUDENT / name / f"{name}.html"
    assert "is not written yet" in feedback.read_text(encoding="utf-8")

    nbformat.write(answered(read(release), read(source), set(tasks(source))), place)
    follow(course, again)
    assert score(course) == 100
    assert "is not written yet" not in feedback.read_text(encoding="utf-8")
