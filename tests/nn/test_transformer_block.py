"""The block: its formula, causal or not, dropout, caches of the stream and of a context."""

from functools import partial

import pytest
import torch
from torch import nn

from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache
from companion.nn.mlp import MLP
from companion.nn.positions import Rotary
from companion.nn.transformer_block import CrossBlock, TransformerBlock
from tests.conftest import rejects

X, C = torch.randn(2, 7, 12), torch.randn(2, 5, 10)


def block(*, cross: bool = False, rotary: bool = False, **options) -> TransformerBlock:
    own = MultiHeadAttention(12, 3, rotary=Rotary(4) if rotary else None)
    norm = partial(nn.LayerNorm, 12)
    if cross:
        return CrossBlock(own, MultiHeadAttention(12, 2, context_width=10), MLP(12, 20), norm, **options).eval()
    return TransformerBlock(own, MLP(12, 20), norm, **options).eval()


@pytest.mark.parametrize("causal", [True, False])
def test_the_formula_as_printed(causal: bool) -> None:
    one = block(causal=causal)
    h = X + one.attention(one.attention_norm(X), causal=causal)
    assert torch.equal(one(X), h + one.mlp(one.mlp_norm(h)))
    two = block(cross=True, causal=causal)
    h = X + two.attention(two.attention_norm(X), causal=causal)
    h = h + two.cross(two.cross_norm(h), C)
    assert torch.equal(two(X, C), h + two.mlp(two.mlp_norm(h)))


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_block_alone_does_not_see_the_future(causal: bool) -> None:
    one, changed = block(causal=causal), X.clone()
    changed[:, 4] = torch.randn(2, 12)  # not only shifted: layer norm would not see that
    assert torch.allclose(one(changed)[:, :4], one(X)[:, :4], atol=1e-6) == causal


def test_caches_change_nothing_and_positions_can_be_given() -> None:
    two, real = block(cross=True, rotary=True), torch.ones(2, 5, dtype=torch.bool)
    real[0, 3:] = False
    caches = KVCache(), KVCache()
    with torch.no_grad():
        want, maps = two(X, C, context_mask=real, return_weights=True)
        parts = [
            two(x, C, caches[0], context_cache=caches[1], context_mask=real, return_weights=True)
            for x in X.split([3, 1, 3], dim=1)
        ]
        torch.testing.assert_close(torch.cat([x for x, _ in parts], 1), want, rtol=0, atol=1e-6)
        torch.testing.assert_close(torch.cat([m for _, m in parts], 2), maps, rtol=0, atol=1e-6)
        assert caches[1].length == 5 and (maps[0, ..., 3:] == 0).all()
        other = two(X, C, positions=torch.tensor([[0, 1, 2, 3, 5, 6, 7]]), context_mask=real)
    torch.testing.assert_close(other[:, :4], want[:, :4], rtol=0, atol=1e-6)
    assert not torch.allclose(other[:, 4:], want[:, 4:], atol=1e-3)


def test_dropout_is_on_what_each_part_adds_and_in_training_alone() -> None:
    two = block(cross=True, dropout=0.5)
    assert torch.equal(two(X, C), two(X, C))
    two.train().dropout = 1.0
    assert torch.equal(two(X, C), X)
    with rejects("dropout"):
        block(dropout=1.5)
