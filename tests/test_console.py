"""Consoles without ✓: nothing that the course prints stops the work, whatever the code page."""

import json
import os
import subprocess
import sys

import pytest

# One process for all consoles, as each would load torch anew: standard output is one after the other, as strict as new.
PROGRAM = r"""
import io, json, sys
from companion.exercises.checking import all_exercises, check, grade
from companion.lesson import claim, setup

first = next(iter(all_exercises()))
real, printed = sys.stdout, {}

def on_console(encoding, case, *steps):
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    for step in steps:
        step()
    sys.stdout.flush()
    printed[f"{case}, {encoding}"] = sys.stdout.buffer.getvalue().decode(encoding)

def wrong(*inputs):
    raise ValueError("Ω is not 字, \ud800")

for call in (check, grade):
    on_console("cp1252", call.__name__, lambda: call(first, lambda *inputs: None, seed=0))
for encoding in ("cp1252", "ascii", "cp437", "utf-8"):
    on_console(
        encoding, "lesson",
        lambda: setup("3_03_foundations/attention", 0, "laptop"),
        lambda: claim("3.3-attention-a", "α ≤ β, which is → ✓, 字", True),
        lambda: check(first, wrong, seed=0),
        lambda: print(grade(first, wrong, seed=0)),
    )
sys.stdout = real
print(json.dumps(printed))
"""


def run(program: str, encoding: str) -> str:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2_000:]
    return done.stdout.decode(encoding.partition(":")[0])


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    return json.loads(run(PROGRAM, "utf-8"))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "utf-8"])
def test_claims_and_checks_are_printed_everywhere(encoding: str, said: dict[str, str]) -> None:
    printed = said[f"lesson, {encoding}"]
    assert "Claim 3.3-attention-a" in printed and "of" in printed and "properties hold" in printed
    if encoding == "utf-8":
        assert "✓ Claim" in printed and "✗ " in printed and "α ≤ β" in printed
    else:
        assert "+ Claim" in printed and "x " in printed


@pytest.mark.parametrize("name", ["check", "grade"])
def test_without_a_lesson(name: str, said: dict[str, str]) -> None:
    """First in their process, where nothing else has made standard output take every character."""
    assert "x " in said[f"{name}, cp1252"]


def test_what_the_console_has_is_left_alone() -> None:
    program = "from companion.console import write_anything\nwrite_anything()\nprint('é – ✓ ü字')"
    assert run(program, "cp1252").strip() == "é – + ü\\u5b57"
