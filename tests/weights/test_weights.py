"""Weights are written whole, held to their card, and loaded exactly as they were measured."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from companion import weights
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects

SMALL = LlamaConfig(vocab_size=23, context=11, width=24, layers=2, heads=6, kv_heads=2, hidden=20)
ABOUT = {"name": "small", "about": "a test", "data": "none", "seed": 0, "seconds": 1.0, "quality": {"x": 0.5}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the package's own."""
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    return tmp_path


def test_what_is_loaded_is_what_was_measured_and_tied_weights_stay_one(folder: Path) -> None:
    model = weights.round_to_16_bits(Llama(SMALL)).eval()
    card = weights.save_weights(model, **ABOUT, folder=folder)
    loaded = weights.load_weights("small", Llama(SMALL).train())
    ids = torch.arange(6)[None]
    assert torch.equal(loaded(ids), model(ids))
    assert not loaded.training
    assert loaded.out.weight is loaded.tokens.weight
    assert next(loaded.parameters()).dtype == torch.float32
    assert card == weights.card("small")
    assert weights.names() == ["small"]
    assert card.parameters == sum(p.numel() for p in model.parameters())
    assert sorted(file.name for file in folder.iterdir()) == ["small.json", "small.safetensors"]


def test_buffers_are_kept_with_their_type(folder: Path) -> None:
    model = nn.BatchNorm1d(3)
    model(torch.randn(5, 3))
    weights.save_weights(weights.round_to_16_bits(model), **ABOUT, folder=folder)
    loaded = weights.load_weights("small", nn.BatchNorm1d(3))
    assert torch.equal(loaded.running_var, model.running_var)
    assert loaded.num_batches_tracked == 1


def test_a_changed_or_missing_file_is_refused(folder: Path) -> None:
    weights.save_weights(nn.Linear(2, 3), **ABOUT, folder=folder)
    file = folder / "small.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with rejects("companion train small", weights.CorruptWeights):
        weights.load_weights("small", nn.Linear(2, 3))
    file.unlink()
    with rejects("companion train small", weights.CorruptWeights):
        weights.load_weights("small", nn.Linear(2, 3))


def test_another_model_is_refused_and_left_as_it_was(folder: Path) -> None:
    weights.save_weights(nn.Linear(2, 3), **ABOUT, folder=folder)
    for other in (nn.Linear(3, 3), nn.Linear(2, 3, bias=False), nn.Sequential(nn.Linear(2, 3))):
        before = [p.clone() for p in other.parameters()]
        with rejects("recipe's model"):
            weights.load_weights("small", other)
        assert all(torch.equal(p, q) for p, q in zip(before, other.parameters(), strict=True))
    with rejects("'nothing'"):
        weights.card("nothing")


def test_what_16_bits_or_the_limit_cannot_hold_is_refused_and_nothing_is_written(folder: Path) -> None:
    model = nn.Linear(2, 3)
    nn.init.constant_(model.weight, 1e6)
    with rejects("16 bits"):
        weights.save_weights(model, **ABOUT, folder=folder)
    with rejects("at most"):
        weights.save_weights(nn.Linear(2_000, 2_000), **ABOUT, folder=folder)
    assert not [*folder.iterdir()]


def test_a_card_is_replaced_after_its_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the writing stops between the two files, the old card does not vouch for the new weights."""
    weights.save_weights(nn.Linear(2, 3), **ABOUT, folder=folder)

    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", stop)
    with pytest.raises(KeyboardInterrupt):
        weights.save_weights(nn.Linear(2, 3), **ABOUT, folder=folder)
    monkeypatch.undo()
    monkeypatch.setattr(weights, "_FOLDER", folder)
    with rejects("changed", weights.CorruptWeights):
        weights.load_weights("small", nn.Linear(2, 3))
