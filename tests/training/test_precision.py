"""bfloat16 only where it is asked for, or fast."""

import re

import pytest
import torch

from companion.training import TrainConfig, train
from companion.training.precision import bf16_is_fast, uses_bf16
from tests.lessons.notebooks import ROOT
from tests.training.problems import net, regression

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def decide_anew():
    bf16_is_fast.cache_clear()
    yield
    bf16_is_fast.cache_clear()


@pytest.mark.parametrize(("avx", "amx"), [(False, False), (True, False), (False, True)])
def test_a_processor_is_fast_at_it_with_either_extension(monkeypatch, avx, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert bf16_is_fast("cpu") == (avx or amx) == uses_bf16("auto", CPU)
    assert uses_bf16("bf16", CPU) and not uses_bf16("fp32", CPU), "what is asked for is not weighed up"


def test_a_gpu_that_only_emulates_it_is_not_fast_and_others_are_not_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not bf16_is_fast("cuda")
    assert not bf16_is_fast("mps")


@pytest.mark.parametrize("fast", [False, True])
def test_auto_trains_in_what_is_fast(monkeypatch, fast):
    monkeypatch.setattr("companion.training.precision.bf16_is_fast", lambda kind: fast)
    seen = set()

    def loss(model, batch, generator):
        seen.add(model(batch[0]).dtype)
        return (model(batch[0]) - batch[1]).float().square().mean()

    train(net(), loss, regression(), TrainConfig(steps=2, batch_size=8, precision="auto"))
    assert seen == {torch.bfloat16 if fast else torch.float32}


def test_no_recipe_and_no_lesson_asks_for_bfloat16_where_it_is_slow():
    """Without instructions for it, a processor takes ten times as long as in float32: ``"auto"`` is for both."""
    pages = [path for path in (ROOT / "book").rglob("*.ipynb") if "_build" not in path.parts]
    files = [*(ROOT / "companion" / "models").glob("*.py"), *pages]
    assert [path.name for path in files if re.search(r'precision=\\?"bf16', path.read_text(encoding="utf-8"))] == []
