"""A run that is killed and resumed ends with the same bits; anything that is not this run's checkpoint is refused."""

import json
import random
import subprocess
import sys

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from companion.training import History, train
from companion.training import checkpoint as module
from companion.training.checkpoint import CorruptCheckpoint, load_checkpoint, save_checkpoint
from companion.training.optimization import TrainConfig, Updater
from tests.conftest import rejects
from tests.lessons.notebooks import ROOT
from tests.lessons.running import kernel_environment
from tests.training.killable import saved_step, whole_run
from tests.training.problems import Awkward, net, noisy, regression, squared


def everything(result) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in result.model.state_dict().items()}


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_and_killed_again_it_ends_with_the_same_bits(tmp_path):
    """SIGKILL in the middle of steps, between writing and moving a checkpoint, and at moments nobody chose.

    The run has dropout, noise, batch-norm statistics, averaged weights, a shared weight and one without gradient.
    """
    path = tmp_path / "run" / "state.safetensors"
    step = random.randint(5, 14)
    ways = [f"loss {step}", "save 2", f"after {random.uniform(0, 0.3)}", f"after {random.uniform(0, 0.3)}", "loss 50"]
    command = [sys.executable, "-m", "tests.training.killable", str(path), *ways]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert [how for how, *_ in seen] == ways
    assert all(killed for how, killed, *_ in seen if not how.startswith("after")), seen
    first = 4 * (step // 4)
    assert seen[0][2:] == [first, False] and seen[1][2:] == [first + 4, True], "the second save was not moved"
    assert seen[-1][2] == 48

    resumed, whole = whole_run(path), whole_run(tmp_path / "whole.safetensors")
    assert same_bits(everything(resumed), everything(whole)), seen
    assert resumed.history == whole.history
    bits = path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert bits, "weights, averages, moments and history are equal in each bit"


@pytest.mark.parametrize("stop", [1, 2, 4, 27, 59])
def test_interrupted_by_hand_it_resumes_exactly(tmp_path, stop):
    path = tmp_path / "state.safetensors"

    def interrupted(model, batch, generator):
        interrupted.parts += 1
        if interrupted.parts > 2 * stop:
            raise KeyboardInterrupt
        return noisy(model, batch, generator)

    interrupted.parts = 0
    with pytest.raises(KeyboardInterrupt):
        whole_run(path, interrupted)
    assert saved_step(path) == 4 * (stop // 4)
    resumed, whole = whole_run(path), whole_run()
    assert same_bits(everything(resumed), everything(whole)) and resumed.history == whole.history


FUSED = """
import sys
import torch
from companion.training import TrainConfig, optimization, train
from tests.training.problems import net, regression, squared, weights

optimization._fusable = lambda model: True  # as where the device is CUDA
config, calls = TrainConfig(steps=6, batch_size=8, lr=0.02, ema=0.9), []

def interrupted(model, batch, generator):
    calls.append(batch)
    if len(calls) > 5:
        raise KeyboardInterrupt
    return squared(model, batch, generator)

def run(objective, path=None):
    return train(net().to("pretend"), objective, regression(), config, checkpoint=path, checkpoint_every=2)

try:
    run(interrupted, sys.argv[1])
except KeyboardInterrupt:
    resumed, whole = run(squared, sys.argv[1]), run(squared)
    assert torch.equal(weights(resumed.model).cpu(), weights(whole.model).cpu()) and resumed.history == whole.history
    print("resumed")
"""


def test_fused_adamw_resumes_on_a_device_that_is_not_the_cpu(tmp_path):
    """There its kernel wants the count of steps beside the weights, not on the CPU, where a checkpoint is read."""
    environment = kernel_environment("pretend") | {"COMPANION_DEVICE": "cpu"}
    command = [sys.executable, "-c", FUSED, str(tmp_path / "state.safetensors")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "resumed\n", done.stderr[-3000:]


def test_interrupted_while_saving_the_old_checkpoint_stays(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    for broken in (KeyboardInterrupt, OSError("disk full")):
        updater = Updater(net(), TrainConfig(steps=5))
        save_checkpoint(path, updater, data="", history={})
        before = path.read_bytes()

        def fail(*_, error=broken):
            raise error

        updater.steps_done = 3
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "fsync", fail)
            with pytest.raises(type(broken) if isinstance(broken, Exception) else broken):
                save_checkpoint(path, updater, data="", history={})
        assert path.read_bytes() == before
        load_checkpoint(path, updater, data="")
        assert updater.steps_done == 0
        save_checkpoint(path, updater, data="", history={})


def test_a_finished_run_is_not_trained_again(tmp_path):
    path = tmp_path / "state.safetensors"
    config = TrainConfig(steps=5, ema=0.9)
    first = train(net(), squared, regression(), config, checkpoint=path)
    again = train(net(), lambda m, b, g: 1 / 0, regression(), config, checkpoint=str(path))
    assert same_bits(everything(again), everything(first)) and again.history == first.history


def test_a_truncated_file_is_never_loaded(tmp_path):
    path = tmp_path / "state.safetensors"
    config = TrainConfig(steps=5)
    train(net(), squared, regression(), config, checkpoint=path)
    content = path.read_bytes()
    for length in {0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1}:
        path.write_bytes(content[:length])
        model = net()
        before = [p.clone() for p in model.parameters()]
        with rejects("no readable checkpoint.*delete it", CorruptCheckpoint):
            train(model, squared, regression(), config, checkpoint=path)
        assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
        assert path.read_bytes() == content[:length], "it is left for a human to look at"


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_a_foreign_file_is_never_loaded(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("foreign") / "state.safetensors"
    path.write_bytes(content)
    with rejects("no readable checkpoint", CorruptCheckpoint):
        load_checkpoint(path, Updater(net(), TrainConfig(steps=1)), data="")


HEADER = {"run": {}, "step": 0, "ema_updates": 0, "history": {}}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"training": "not JSON"},
        {"training": "[]"},
        {"training": "3"},
        {"training": json.dumps(HEADER | {"run": [1]})},
        {"training": json.dumps(HEADER | {"step": "4"})},
        {"training": json.dumps(HEADER | {"history": None})},
    ],
)
def test_other_weights_are_not_taken_for_a_checkpoint(tmp_path, metadata):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"weight": torch.ones(3)}, path, metadata)
    with rejects("no readable checkpoint", CorruptCheckpoint):
        load_checkpoint(path, Updater(net(), TrainConfig(steps=1)), data="")


def rewritten(path, **changes) -> None:
    """The same file with another header: what a program that knows the format could write, its checksum included."""
    with safetensors.safe_open(path, "pt") as stream:
        header = json.loads(stream.metadata()["training"])
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    del header["checksum"]
    header = header | {key: value for key, value in changes.items() if key != "text"}
    header["checksum"] = module._checksum(json.dumps(header), tensors)
    safetensors.torch.save_file(tensors, path, {"training": changes.get("text") or json.dumps(header)})


ODD_HEADERS = {
    "an unknown key": {"more": 1},
    "a negative step": {"step": -1},
    "more steps than there are": {"step": 6},
    "a truth value for a step": {"step": True},
    "a fraction of a step": {"step": 2.5},
    "negative updates": {"ema_updates": -3},
    "more updates than steps": {"ema_updates": 6},
    "an unknown list": {"history": {"nobody": [1]}},
    "a history without its lists": {"history": {}},
    "a history of numbers": {"history": {"loss": 1, "lr": 1, "grad_norm": 1, "evaluated_at": 1, "evaluations": 1}},
    "deep JSON": {"text": "[" * 100_000},
    "deep JSON that ends": {"text": '{"a":' * 100_000 + "1" + "}" * 100_000},
    "a huge number": {"text": '{"step": ' + "9" * 10_000 + "}"},
}


@pytest.mark.parametrize("how", ODD_HEADERS)
def test_a_header_that_no_run_writes_is_refused_before_anything_changes(tmp_path, how):
    path = tmp_path / "state.safetensors"
    config = TrainConfig(steps=5, ema=0.9)
    train(net(), squared, regression(), config, checkpoint=path)
    rewritten(path)
    train(net(), squared, regression(), config, checkpoint=path)  # the way of rewriting alone does no harm
    rewritten(path, **ODD_HEADERS[how])
    model = net(3)
    before = [p.clone() for p in model.parameters()]
    with rejects("no readable checkpoint.*delete it", CorruptCheckpoint):
        train(model, squared, regression(), config, checkpoint=path)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_one_flipped_bit_anywhere_is_found(tmp_path):
    """In each tensor, in its name, in the history: every byte of the file, one of its bits."""
    path = tmp_path / "state.safetensors"
    updater = Updater(net(), TrainConfig(steps=5, ema=0.9))
    save_checkpoint(path, updater, data="x", history={"loss": [0.5]})
    content = path.read_bytes()
    load_checkpoint(path, updater, data="x")
    before = [p.clone() for p in updater.model.parameters()]
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with rejects("checkpoint|another", CorruptCheckpoint):
            load_checkpoint(path, updater, data="x")
    assert all(torch.equal(a, b) for a, b in zip(before, updater.model.parameters(), strict=True))


def test_a_folder_or_a_pickle_is_not_taken_for_a_checkpoint(tmp_path):
    torch.save(net().state_dict(), tmp_path / "pickle.pt")
    for path in (tmp_path, tmp_path / "pickle.pt", tmp_path / "missing"):
        with rejects("no readable checkpoint", CorruptCheckpoint):
            load_checkpoint(path, Updater(net(), TrainConfig(steps=1)), data="")


def test_another_run_is_refused_by_the_name_of_what_differs(tmp_path):
    path = tmp_path / "state.safetensors"
    config = TrainConfig(steps=5)
    train(net(), squared, regression(), config, checkpoint=path)
    with rejects(r"lr: 0.001 → 0.002; seed: 0 → 3", CorruptCheckpoint):
        train(net(), squared, regression(), TrainConfig(steps=5, lr=2e-3, seed=3), checkpoint=path)
    with rejects("steps: 5 → 6", CorruptCheckpoint):
        train(net(), squared, regression(), TrainConfig(steps=6), checkpoint=path)
    with rejects(r"ema: None → 0.9", CorruptCheckpoint):
        train(net(), squared, regression(), TrainConfig(steps=5, ema=0.9), checkpoint=path)
    with rejects(r"data: \(40, 3\)", CorruptCheckpoint):
        train(net(), squared, regression(41), config, checkpoint=path)
    with rejects("another model.*4.weight", CorruptCheckpoint):
        train(nn.Sequential(*net(), nn.ReLU(), nn.Linear(2, 2)), squared, regression(), config, checkpoint=path)
    with rejects("another model.*2.bias", CorruptCheckpoint):
        train(
            nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)), squared, regression(), config, checkpoint=path
        )
    with rejects("another model", CorruptCheckpoint):
        train(net().double(), squared, regression(), config, checkpoint=path)


def test_a_refused_checkpoint_changes_nothing(tmp_path):
    path = tmp_path / "state.safetensors"
    train(net(1), squared, regression(), TrainConfig(steps=5), checkpoint=path)
    other = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2, bias=False))
    updater = Updater(other, TrainConfig(steps=5))
    before = [p.clone() for p in other.parameters()]
    with rejects("another model", CorruptCheckpoint):
        load_checkpoint(path, updater, data=f"{(40, 3)} torch.float32, {(40, 2)} torch.float32")
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))
    assert updater.steps_done == 0 and not updater.optimizer.state


def test_a_shared_weight_stands_once_and_nothing_is_pickled(tmp_path):
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, Updater(Awkward(), TrainConfig(steps=1)), data="", history={})
    with safetensors.safe_open(path, "pt") as stream:
        names = set(stream.keys())
    assert "model.embed.weight" in names and "model.head.weight" not in names
    assert "model.part" in names and "model.table" not in names, "a buffer that is not persistent is not state"


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.floats(width=64), max_size=5),
    evaluations=st.lists(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=2), max_size=3),
)
def test_the_history_comes_back_bit_for_bit(tmp_path_factory, numbers, evaluations):
    path = tmp_path_factory.mktemp("history") / "state.safetensors"
    updater = Updater(net(), TrainConfig(steps=1))
    save_checkpoint(path, updater, data="x", history={"loss": numbers, "evaluations": evaluations})
    back = History(**load_checkpoint(path, updater, data="x"))
    assert repr(back.loss) == repr(numbers) and back.evaluations == evaluations


def test_missing_folders_are_made(tmp_path):
    updater = Updater(net(), TrainConfig(steps=1))
    path = tmp_path / "a" / "b" / "state.safetensors"
    save_checkpoint(path, updater, data="x", history={"loss": []})
    assert load_checkpoint(path, updater, data="x") == {"loss": []}
