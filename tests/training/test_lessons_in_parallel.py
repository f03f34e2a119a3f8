"""Lessons as programs: what torchrun shares between two processes is what one process would have done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from companion.lesson import run_as_program
from tests.conftest import rejects
from tests.lessons.notebooks import BOOK, ROOT

CELLS = """
import os, json, torch
from companion.lesson import claim, setup
from companion.text.gpt.pretraining import TUNED, race
from companion.training import TrainConfig, train
SEED = 0
BUDGET = "laptop"
---
run = setup("one", SEED, BUDGET)
---
ids = torch.randint(11, (900,), generator=run.generator(1))
(gpt,) = race([TUNED], ids, ids[:300], 11, share=0.001, seed=run.seed)
---
from torch import nn
x = torch.randn(24, 3, generator=run.generator(2))
torch.manual_seed(run.seed)
loss = lambda model, batch, generator: (model(batch[0]) - batch[1]).square().mean()
fit = train(nn.Linear(3, 1), loss, (x, x.sum(1, keepdim=True)), TrainConfig(steps=4, batch_size=8, seed=run.seed))
claim("3.3-one-a", "One is one.", True, exact=True)
---
rank = os.environ.get("RANK", "0")
numbers = {"gpt": gpt.loss, "fit": fit.history.loss, "budget": run.budget, "seed": run.seed}
open(os.path.join(os.environ["OUT"], rank), "w").write(json.dumps(numbers))
"""


def command(processes: int) -> list[str]:
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    return [sys.executable, *(torchrun if processes > 1 else []), "-m", "companion", "lesson"]


def start(notebook: Path, processes: int, out: Path, seed: int = 3) -> str:
    done = subprocess.run(
        [*command(processes), str(notebook), "--budget", "smoke", "--seed", str(seed)],
        capture_output=True, text=True, timeout=600, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "OUT": str(out)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.split("---")]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    return tmp_path / "one.ipynb"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun does not start with the Windows wheels")
def test_two_processes_learn_what_one_learns_and_one_prints(notebook: Path, tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    start(notebook, 1, one)
    said = start(notebook, 2, two)
    assert said.count("Claim 3.3-one-a") == 1
    wanted, *found = (json.loads(file.read_text()) for file in (one / "0", two / "0", two / "1"))
    assert found[0] == found[1] and (wanted["budget"], wanted["seed"]) == ("smoke", 3)
    for key in ("gpt", "fit"):
        torch.testing.assert_close(torch.tensor(found[0][key]), torch.tensor(wanted[key]), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun does not start with the Windows wheels")
@pytest.mark.parametrize("lesson", ["3_04_text/gpt", "3_06_image/ddpm"])
def test_the_flagships_run_on_two_processes(lesson: str, tmp_path: Path):
    assert "Claim" in start(BOOK / f"{lesson}.ipynb", 2, tmp_path)


def test_what_is_no_lesson_is_refused(tmp_path: Path):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), tmp_path / "x.ipynb")
    with rejects("got no cell tagged 'parameters'"):
        run_as_program(tmp_path / "x.ipynb", seed=0, budget="smoke")
