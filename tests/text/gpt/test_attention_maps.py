"""Attention maps: those of transformers, and scores with known answers."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from companion.text.gpt import GPT
from companion.text.gpt.attention_maps import attention_maps, induction_score, previous_score
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects
from tests.published import published


def test_maps_equal_those_of_transformers(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=31, n_positions=16, n_embd=24, n_layer=3, n_head=2, attn_implementation="eager")
    theirs = published(GPT2LMHeadModel(config), tmp_path, std=0.4)  # far from uniform attention
    ours, ids = GPT.from_pretrained(tmp_path), torch.randint(31, (5, 11))
    with torch.no_grad():
        wanted = torch.stack(theirs(ids, output_attentions=True).attentions)
    torch.testing.assert_close(attention_maps(ours, ids), wanted, rtol=0, atol=1e-5)


def test_maps_of_a_llama_look_back_only_and_leave_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = Llama(LlamaConfig(31, context=16, width=24, layers=3, heads=4, kv_heads=2, hidden=40)).train()
    maps = attention_maps(model, torch.randint(31, (5, 11)))
    assert maps.shape == (3, 5, 4, 11, 11)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 5, 4, 11))
    assert float(maps.triu(1).abs().max()) == 0
    assert model.training
    assert not maps.requires_grad
    assert not any(block.attention._forward_pre_hooks for block in model.blocks)


def test_scores_of_heads_that_do_one_thing() -> None:
    """A head that looks at the token before scores 1; one that looks behind the same token's last place scores 1."""
    ids = torch.tensor([[7, 3, 9, 7, 3, 9]])
    before = torch.eye(6).roll(1, 0)
    after_same = torch.eye(6)
    after_same[3], after_same[4], after_same[5] = torch.eye(6)[1], torch.eye(6)[2], torch.eye(6)[3]
    maps = torch.stack([before, after_same])[None, None]  # one layer, one text, two heads
    torch.testing.assert_close(previous_score(maps), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(induction_score(maps, ids), torch.tensor([[0.0, 1.0]]))


def test_the_latest_of_several_places_counts() -> None:
    ids = torch.tensor([[1, 2, 1, 3, 1]])
    maps = torch.zeros(1, 1, 1, 5, 5)
    maps[..., 2, 1] = maps[..., 4, 3] = 1.0  # behind the last place of token 1, not behind the first
    assert float(induction_score(maps, ids)) == 1.0


def test_tokens_that_do_not_recur_are_refused() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        induction_score(torch.zeros(1, 1, 1, 3, 3), torch.tensor([[1, 2, 3]]))


def test_scores_instead_of_tokens_are_refused() -> None:
    with rejects("ids: got"):
        attention_maps(nn.Linear(1, 1), torch.zeros(1, 3))
