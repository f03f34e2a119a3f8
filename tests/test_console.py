"""Consoles without ✓: nothing that the course prints stops the work, whatever the code page."""

import os
import subprocess
import sys

import pytest

PROGRAM = r"""
import torch
from companion.exercises.checking import all_exercises, check, grade
from companion.lesson import claim, setup
setup("3_03_foundations/attention", 0, "laptop")
claim("3.3-attention-a", "α ≤ β, which is → ✓, 字", True)
exercise = next(iter(all_exercises()))
def wrong(*inputs):
    raise ValueError("Ω is not 字, \ud800")
check(exercise, wrong, seed=0)
print(grade(exercise, wrong, seed=0))
"""
ALONE = """
from companion.exercises.checking import {name}, all_exercises
{name}(next(iter(all_exercises())), lambda *inputs: None, seed=0)
"""


def run(program: str, encoding: str) -> str:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2_000:]
    return done.stdout.decode(encoding.partition(":")[0])


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "utf-8"])
def test_claims_and_checks_are_printed_everywhere(encoding: str) -> None:
    printed = run(PROGRAM, encoding)
    assert "Claim 3.3-attention-a" in printed and "of" in printed and "properties hold" in printed
    if encoding == "utf-8":
        assert "✓ Claim" in printed and "✗ " in printed and "α ≤ β" in printed
    else:
        assert "+ Claim" in printed and "x " in printed


@pytest.mark.parametrize("name", ["check", "grade"])
def test_without_a_lesson(name: str) -> None:
    assert "x " in run(ALONE.format(name=name), "cp1252")


def test_what_the_console_has_is_left_alone() -> None:
    program = "from companion.console import write_anything\nwrite_anything()\nprint('é – ✓ ü字')"
    assert run(program, "cp1252").strip() == "é – + ü\\u5b57"
