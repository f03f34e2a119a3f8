"""What a reader keeps comes back to the bit, whole or not at all, and nowhere else than asked."""

from pathlib import Path

import platformdirs
import pytest
import torch
from torch import nn

from companion.text.gpt import GPT, GPTConfig
from companion.weights import CorruptWeights
from companion.weights import kept as module
from companion.weights.kept import keep, kept
from tests.conftest import rejects


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_KEEP", str(tmp_path / "mine"))


def small(seed, width=8):
    torch.manual_seed(seed)
    return GPT(GPTConfig(vocab_size=11, context=6, width=width, layers=1, heads=2))


def test_what_is_kept_comes_back_in_full_precision_for_evaluation(tmp_path):
    mine, ids = small(1).eval(), torch.tensor([[3, 1, 4]])
    assert keep("poet", mine) == tmp_path / "mine" / "poet.safetensors"
    again = kept("poet", small(2).train())
    assert not again.training and torch.equal(again(ids), mine(ids))


def test_the_newest_replaces_the_older_and_leaves_nothing_half_written(tmp_path):
    for seed in (1, 2):
        keep("poet", small(seed))
    assert torch.equal(kept("poet", small(3)).tokens.weight, small(2).tokens.weight)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["poet.safetensors"]


def test_views_of_one_tensor_are_kept():
    net = nn.Module()
    net.whole = nn.Parameter(torch.arange(6.0))
    net.register_buffer("first", net.whole.detach()[:3])
    keep("views", net)
    assert kept("views", net) is net


def test_nothing_kept_is_none():
    assert kept("poet", small(1)) is None


def test_a_model_of_other_sizes_is_refused_and_left_alone():
    keep("poet", small(1))
    other = small(2, width=4)
    before = other.tokens.weight.clone()
    with rejects(r"differs from the weights in .*poet\.safetensors .*run it again"):
        kept("poet", other)
    assert torch.equal(other.tokens.weight, before)


def test_a_damaged_file_says_what_to_do():
    file = keep("poet", small(1))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptWeights, match="delete it and run its lesson again"):
        kept("poet", small(1))


@pytest.mark.parametrize("name", ["", "../up", "a b", "a.b", "é"])
def test_a_name_cannot_leave_the_folder(name):
    with rejects("name: got"):
        keep(name, small(1))


def test_an_empty_variable_keeps_for_this_process_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_KEEP", "")
    module._for_this_process.cache_clear()
    file = keep("poet", small(1))
    assert kept("poet", small(2)) is not None and tmp_path not in file.parents
    module._for_this_process().cleanup()
    module._for_this_process.cache_clear()
    assert not file.exists() and kept("poet", small(2)) is None


def test_without_the_variable_it_is_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COMPANION_KEEP")
    asked = []
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *a, **k: asked.append((a, k)) or Path(tmp_path))
    assert keep("poet", small(1)) == tmp_path / "poet.safetensors"
    assert asked == [(("generative-ai-companion",), {"appauthor": False})]
