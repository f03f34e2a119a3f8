"""Today's block: its formula from its parts, the names of its parameters, what each option changes, nothing else."""

import pytest
import torch
from torch import nn

from companion.nn.llama_block import llama_block
from companion.nn.mlp import GatedMLP
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from tests.conftest import rejects

X = torch.randn(2, 7, 12)


def test_the_formula_as_printed() -> None:
    block = llama_block(12, 3, 20, Rotary(4))
    h = X + block.attention(block.attention_norm(X), causal=True)
    assert torch.equal(block(X), h + block.mlp(block.mlp_norm(h)))
    assert isinstance(block.mlp, GatedMLP) and isinstance(block.attention_norm, RMSNorm)
    assert block.attention_norm is not block.mlp_norm


def test_shipped_names() -> None:
    names = {name.rpartition(".")[0] for name in llama_block(12, 3, 20, Rotary(4), gated_attention=True).state_dict()}
    attention = {f"attention.{name}" for name in ("q", "k", "v", "out", "gate")}
    assert names == {"attention_norm", "mlp_norm", "mlp.gate", "mlp.up", "mlp.down"} | attention


@pytest.mark.parametrize("options", [{}, {"qkv_bias": True}, {"gated_attention": True}])
def test_only_what_is_asked_for_has_a_bias_or_a_gate(options: dict) -> None:
    block = llama_block(12, 3, 20, Rotary(4), **options)
    biased = {name for name, layer in block.named_modules() if getattr(layer, "bias", None) is not None}
    assert biased == ({f"attention.{name}" for name in "qkv"} if "qkv_bias" in options else set())
    assert (block.attention.gate is not None) == ("gated_attention" in options)


def test_heads_may_share_keys_and_have_a_width_of_their_own() -> None:
    block = llama_block(12, 4, 20, Rotary(6), kv_heads=2, head_width=6, norm_eps=0.3)
    shapes = [tuple(getattr(block.attention, name).weight.shape) for name in ("q", "k", "v", "out")]
    assert shapes == [(24, 12), (12, 12), (12, 12), (12, 24)]
    assert block.attention_norm.eps == block.mlp_norm.eps == 0.3
    assert block(X).shape == X.shape


def test_positions_turn_queries_and_keys() -> None:
    block, swapped = llama_block(12, 3, 20, Rotary(4)), X.clone()
    swapped[:, [1, 4]] = X[:, [4, 1]]  # the last position sees the same set, in another order
    assert not torch.allclose(block(X)[:, -1], block(swapped)[:, -1])
    nn.init.zeros_(block.attention.q.weight)  # no query, so nothing that positions could turn
    torch.testing.assert_close(block(X)[:, -1], block(swapped)[:, -1])


def test_bad_input() -> None:
    with rejects("rotary: got one for width 6"):
        llama_block(12, 3, 20, Rotary(6))
    with rejects("kv_heads"):
        llama_block(12, 3, 20, Rotary(4), kv_heads=2)
    with rejects("hidden"):
        llama_block(12, 3, 0, Rotary(4))
