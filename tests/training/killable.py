"""A program that trains and is killed, again and again; `test_checkpoint` runs it.

python -m tests.training.killable CHECKPOINT "loss 18" "save 3" "after 0.2": SIGKILL in the loss of step 18; when the third
checkpoint of that process is written but not yet moved to its place; 0.2 seconds after the start.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import safetensors
import torch

from companion.training import TrainConfig, TrainResult, train
from tests.training.problems import Awkward, evaluation, noisy, regression

CONFIG = TrainConfig(steps=60, batch_size=8, lr=0.02, ema=0.9, accumulate=2, seed=7)


def whole_run(path: Path | None = None, loss=noisy) -> TrainResult:
    return train(
        Awkward(), loss, regression(), CONFIG,
        evaluate=evaluation, evaluate_every=9, checkpoint=path, checkpoint_every=4,
    )  # fmt: skip


def saved_step(path: Path) -> int:
    if not path.exists():
        return 0
    with safetensors.safe_open(path, "pt") as stream:
        return json.loads(stream.metadata()["training"])["step"]


def run_and_die(path: Path, how: str) -> None:
    """Resume the run and be killed by ``how``: "loss 18", "save 3" or "never"."""
    die, _, at = how.partition(" ")
    parts, saves, replace, start = [], [], os.replace, saved_step(path)

    def loss(model, batch, generator):
        parts.append(1)
        if die == "loss" and start + (len(parts) - 1) // CONFIG.accumulate == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
        if die == "never":
            time.sleep(0.004)  # so that whoever kills this process has time to
        return noisy(model, batch, generator)

    def move(source, target):
        saves.append(1)
        if die == "save" and len(saves) == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = move
    whole_run(path, loss)


def main(path: Path, ways: list[str]) -> None:
    for how in ways:
        child = os.fork()  # before this process has trained anything, so each child is like a fresh one
        if child == 0:
            run_and_die(path, "never" if how.startswith("after") else how)
            os._exit(0)
        if how.startswith("after"):
            time.sleep(float(how.split()[1]))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps([how, killed, saved_step(path), path.with_name(path.name + ".part").exists()]), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
