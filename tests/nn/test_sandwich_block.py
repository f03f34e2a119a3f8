"""The block with four norms: its formula from its parts, and what the norms at the exit are for."""

from functools import partial

import torch
from torch import nn

from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache
from companion.nn.mlp import GatedMLP
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.nn.sandwich_block import SandwichBlock
from tests.conftest import rejects

X = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(0))


def block(**options: object) -> SandwichBlock:
    torch.manual_seed(0)
    attention = MultiHeadAttention(12, 3, bias=False, rotary=Rotary(4))
    made = SandwichBlock(attention, GatedMLP(12, 20), partial(RMSNorm, 12, eps=1e-9), **options)
    for name, parameter in made.named_parameters():
        if "norm" in name:
            nn.init.uniform_(parameter, 0.5, 2.0)
    return made.eval()


def test_the_formula_as_printed() -> None:
    one = block()
    h = X + one.attention_out_norm(one.attention(one.attention_norm(X), causal=True))
    assert torch.equal(one(X), h + one.mlp_out_norm(one.mlp(one.mlp_norm(h))))
    norms = [one.attention_norm, one.attention_out_norm, one.mlp_norm, one.mlp_out_norm]
    assert len({id(norm) for norm in norms}) == 4


def test_however_large_the_weights_of_a_part_its_gains_say_how_much_it_adds() -> None:
    one = block()
    want = one(X)
    with torch.no_grad():
        one.attention.out.weight.mul_(1000)
        one.mlp.down.weight.mul_(1000)
    torch.testing.assert_close(one(X), want, rtol=0, atol=1e-4)
    with torch.no_grad():
        one.attention_out_norm.weight.zero_()
        one.mlp_out_norm.weight.zero_()
    assert torch.equal(one(X), X)


def test_a_cache_padding_positions_and_the_causal_mask_reach_the_attention() -> None:
    one, cache, real = block(), KVCache(), torch.arange(7).expand(2, 7) >= 2
    with torch.no_grad():
        want = one(X, None, real)
        parts = [one(X[:, :3], cache, real[:, :3]), one(X[:, 3:], cache, real)]
        torch.testing.assert_close(torch.cat(parts, 1), want, rtol=0, atol=1e-6)
        assert (one(X)[:, 4] - want[:, 4]).abs().max() > 1e-3
        moved = one(X, positions=torch.tensor([[0, 1, 2, 3, 5, 6, 7]]))
        assert torch.equal(moved[:, :4], one(X)[:, :4]) and (moved[:, 4:] != one(X)[:, 4:]).any()
        assert torch.equal(one(X)[:, :3], one(X[:, :3])) or torch.allclose(one(X)[:, :3], one(X[:, :3]), atol=1e-6)
        assert not torch.allclose(block(causal=False)(X)[:, :3], one(X)[:, :3], atol=1e-3)


def test_dropout_is_on_what_each_part_adds_and_in_training_alone() -> None:
    one = block(dropout=0.5)
    assert torch.equal(one(X), one(X))
    one.train().dropout = 1.0
    assert torch.equal(one(X), X)
    with rejects("dropout"):
        block(dropout=1.5)
