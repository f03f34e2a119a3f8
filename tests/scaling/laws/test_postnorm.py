"""The block of 2017 against torch's own, and what the norms' place changes."""

import pytest
import torch
from torch import nn

from companion.metrics.flops import count_flops
from companion.nn.attention import causal_mask
from companion.nn.positions import sinusoidal
from companion.scaling.laws.postnorm import PostNormBlock, PostNormConfig, PostNormTransformer
from tests.conftest import rejects

CONFIG = PostNormConfig(vocab_size=11, context=9, width=12, layers=2, heads=3)


def torchs(block: PostNormBlock, width: int, heads: int) -> nn.TransformerEncoderLayer:
    """torch's post-norm layer with the same weights."""
    other = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, activation="relu", batch_first=True)
    attention = block.attention
    parts = [attention.q, attention.k, attention.v]
    other.self_attn.in_proj_weight.data = torch.cat([part.weight for part in parts])
    other.self_attn.in_proj_bias.data = torch.cat([part.bias for part in parts])
    pairs = [
        (other.self_attn.out_proj, attention.out), (other.linear1, block.widen), (other.linear2, block.narrow),
        (other.norm1, block.attention_norm), (other.norm2, block.mlp_norm),
    ]  # fmt: skip
    for theirs, ours in pairs:
        theirs.load_state_dict(ours.state_dict())
    return other


@pytest.mark.parametrize(("batch", "n", "width", "heads"), [(2, 7, 12, 3), (3, 5, 8, 2)])
def test_block_is_torchs_post_norm_layer(batch: int, n: int, width: int, heads: int) -> None:
    torch.manual_seed(0)
    block = PostNormBlock(width, heads)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(batch, n, width)
    wanted = torchs(block, width, heads)(x, src_mask=~causal_mask(n, n))
    torch.testing.assert_close(block(x), wanted, rtol=1e-5, atol=1e-5)


def test_model_is_table_sines_layers_table() -> None:
    """(eq-postnorm-input) and (eq-postnorm-output) around torch's layers."""
    torch.manual_seed(1)
    model, ids = PostNormTransformer(CONFIG), torch.randint(11, (2, 7))
    x = model.tokens.weight[ids] * 12**0.5 + sinusoidal(7, 12)
    for block in model.blocks:
        x = torchs(block, 12, 3)(x, src_mask=~causal_mask(7, 7))
    torch.testing.assert_close(model(ids), x @ model.tokens.weight.T, rtol=1e-5, atol=1e-5)


def test_stream_is_normalised_last() -> None:
    """The norm is the last thing that a layer does: each position leaves with mean 0 and variance 1."""
    out = PostNormBlock(12, 3)(torch.randn(2, 5, 12) * 40 + 7)
    torch.testing.assert_close(out.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(-1, correction=0), torch.ones(2, 5), rtol=0, atol=1e-3)


def test_operations_are_those_of_a_plain_transformer() -> None:
    """A layer has 12 w² and 2 n w products a token, the table w V."""
    model = PostNormTransformer(CONFIG)
    wanted = 2 * (2 * (12 * 12 * 12 + 2 * 9 * 12) + 12 * 11)
    assert count_flops(lambda: model(torch.zeros(2, 9, dtype=torch.long))) == 2 * 9 * wanted


def test_rejects() -> None:
    with rejects("width"):
        PostNormConfig(11, 9, 14, 2, 3)
    with rejects("width"):
        PostNormConfig(11, 9, 9, 2, 3)
    with rejects("input_ids"):
        PostNormTransformer(CONFIG)(torch.zeros(1, 10, dtype=torch.long))
