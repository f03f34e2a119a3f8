"""Two real processes, started by torchrun, against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import torch

from companion.training import TrainConfig, train
from companion.training.distributed import average_gradients, join, local_device, mean_over_processes, share_of
from tests.conftest import rejects
from tests.training import parallel
from tests.training.problems import net, regression, squared


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """What `tests.training.parallel` writes on two processes."""
    if sys.platform == "win32":
        pytest.skip("torchrun does not start with the Windows wheels: pytorch/pytorch#148283")
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*command, "-m", "tests.training.parallel", str(folder)],
        capture_output=True, text=True, timeout=1800, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """What the same program writes when it is run plainly."""
    folder = tmp_path_factory.mktemp("one")
    parallel.main(folder)
    return folder


def read(folder: Path, name: str, rank: int) -> tuple[torch.Tensor, dict[str, list], dict[str, str]]:
    with safetensors.safe_open(folder / f"{name}-{rank}.safetensors", "pt") as stream:
        weights = torch.cat([stream.get_tensor(key).double().flatten() for key in sorted(stream.keys())])
        return weights, json.loads(stream.metadata()["history"]), stream.metadata()


@pytest.mark.parametrize("name", ["plain", "parts", "uneven", "uneven parts"])
def test_two_processes_train_as_one_with_the_joint_batch(one, two, name):
    """Gradients (their norms at each step) and weights (averaged in "plain", with 4 accumulated parts in "parts")."""
    weights, history, _ = read(one, name, 0)
    for rank in (0, 1):
        ours, course, _ = read(two, name, rank)
        torch.testing.assert_close(ours, weights, rtol=1e-5, atol=1e-6)
        for key in ("loss", "grad_norm", "lr"):
            torch.testing.assert_close(torch.tensor(course[key]), torch.tensor(history[key]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "parts", "uneven", "uneven parts", "whole", "resumed"])
def test_both_processes_end_with_the_same_bits(two, name):
    (first, course, _), (second, other, _) = read(two, name, 0), read(two, name, 1)
    assert torch.equal(first, second)
    assert course == other, "the loss in the history is the joint batch's"


def test_noise_differs_between_the_processes(two):
    assert read(two, "whole", 0)[2]["noise"] != read(two, "whole", 1)[2]["noise"]


@pytest.mark.parametrize("rank", [0, 1])
def test_every_process_resumes_exactly(two, rank):
    (whole, course, _), (resumed, other, _) = read(two, "whole", rank), read(two, "resumed", rank)
    assert torch.equal(whole, resumed) and course == other
    assert (two / "state").exists() and len(course["loss"]) == 10


def test_one_bad_example_stops_all_processes_at_the_same_step(one, two):
    told = [(two / f"diverged-{rank}").read_text() for rank in (0, 1)]
    assert told[0] == told[1] == (one / "diverged-0").read_text()
    assert "the loss is nan at step 0 of 8" in told[0]


def test_one_process_needs_no_group():
    assert join() == (0, 1)
    assert mean_over_processes(3.5) == 3.5


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    assert local_device("cpu") == torch.device("cpu")
    assert local_device("cuda") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert local_device("cuda") == torch.device("cuda", 3)
    assert local_device("cpu") == torch.device("cpu")


def test_a_batch_that_the_processes_do_not_divide_is_refused(monkeypatch):
    monkeypatch.setattr("companion.training.loop.join", lambda: (0, 3))
    with rejects("batch_size: got 16, wanted a multiple of 3 processes × 2 parts"):
        train(net(), squared, regression(), TrainConfig(steps=1, batch_size=16, accumulate=2))


def test_a_checkpoint_that_not_all_processes_see_is_refused(monkeypatch, tmp_path):
    from companion.training import CorruptCheckpoint

    config = TrainConfig(steps=4)
    train(net(), squared, regression(), config, checkpoint=tmp_path / "state")
    monkeypatch.setattr("companion.training.loop.mean_over_processes", lambda value: value / 2)
    with rejects("put it on a shared disk", CorruptCheckpoint):
        train(net(), squared, regression(), config, checkpoint=tmp_path / "state")


def test_each_process_takes_every_third_example_of_three(monkeypatch):
    batch = (torch.arange(6), torch.arange(12).view(6, 2))
    parts = []
    for rank in range(3):
        monkeypatch.setattr("companion.training.distributed.join", lambda rank=rank: (rank, 3))
        x, y = share_of(batch)
        assert torch.equal(y[:, 0], 2 * x)
        parts.append(x)
        with rejects("batch: got 5 examples, wanted a multiple of 3 processes"):
            share_of((torch.arange(5),))
    assert torch.equal(torch.stack(parts, 1).flatten(), batch[0])


def test_gradients_are_averaged_over_the_processes_and_left_alone_by_one(monkeypatch):
    """The reduction is replaced by one that adds a second process with three times our gradient."""
    model = net()
    model[0].bias.requires_grad_(False)
    squared(model, regression(), torch.Generator()).backward()
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    average_gradients(model)
    assert all(old is None or torch.equal(old, p.grad) for old, p in zip(before, model.parameters(), strict=True))
    monkeypatch.setattr("companion.training.distributed.join", lambda: (0, 2))
    monkeypatch.setattr("torch.distributed.all_reduce", lambda gradient: gradient.mul_(4))
    average_gradients(model)
    assert before[1] is None and model[0].bias.grad is None
    for old, parameter in zip(before, model.parameters(), strict=True):
        if old is not None:
            torch.testing.assert_close(parameter.grad, 2 * old)
