"""Attention in each of its paths (explicit, fused, cached), against PyTorch and against the mistakes that others made."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.attention import MultiHeadAttention, attention, causal_mask, fused_attention
from companion.nn.kv_cache import KVCache
from companion.nn.positions import Rotary
from tests.conftest import rejects

B, H, N, M, D, E = 2, 3, 5, 7, 4, 6  # all different


def explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return attention(q, k, v, mask)[0]


CORES = pytest.mark.parametrize("core", [explicit, fused_attention])
PATHS = pytest.mark.parametrize("path", ["explicit", "fused", "cached"])


def qkv(m: int = M) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(B, H, N, D), torch.randn(B, H, m, D), torch.randn(B, H, m, E)


def run(layer: MultiHeadAttention, x: Tensor, path: str, key_mask: Tensor | None = None) -> Tensor:
    """Causal self-attention in one of the three ways."""
    if path == "explicit":
        return layer(x, causal=True, key_mask=key_mask, return_weights=True)[0]
    if path == "fused":
        return layer(x, causal=True, key_mask=key_mask)
    cache, parts = KVCache(), []
    with torch.no_grad():
        for first, last in ((0, 3), (3, 4), (4, 6), (6, x.shape[1])):  # a prompt, then one, two and the rest
            mask = None if key_mask is None else key_mask[:, :last]
            parts.append(layer(x[:, first:last], causal=True, key_mask=mask, cache=cache))
    return torch.cat(parts, dim=1)


def layer_of(**options: object) -> MultiHeadAttention:
    return MultiHeadAttention(12, 3, **options).eval()


# ------------------------------------------------------------------------------------------------ the core


@CORES
def test_equals_torch_with_and_without_a_mask_I19(core) -> None:
    q, k, v = qkv()
    mask = torch.rand(B, 1, N, M) < 0.6
    mask[..., 0] = True
    torch.testing.assert_close(core(q, k, v), F.scaled_dot_product_attention(q, k, v), rtol=0, atol=1e-5)
    torch.testing.assert_close(core(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, mask), rtol=0, atol=1e-5)


@CORES
def test_eq_attention_as_printed_I60(core) -> None:
    q, k, v = (t.double()[0, 0] for t in qkv())
    want = torch.zeros(N, E, dtype=torch.float64)
    for n in range(N):
        scores = [sum(q[n, i] * k[m, i] for i in range(D)) / math.sqrt(D) for m in range(M)]
        total = sum(math.exp(s) for s in scores)
        want[n] = sum(math.exp(s) / total * v[m] for m, s in enumerate(scores))
    torch.testing.assert_close(core(q, k, v), want, rtol=0, atol=1e-12)


def test_scores_of_unit_queries_and_keys_have_unit_variance_I20() -> None:
    for d in (4, 64, 256):
        q, k = torch.randn(400, d), torch.randn(300, d)
        weights = attention(q, k, torch.zeros(300, 1))[1]
        scores = weights.log() - weights.log().mean(-1, keepdim=True)  # the scores up to a constant a row
        assert scores.var().item() == pytest.approx(1, abs=0.1)


def test_masked_keys_get_exactly_no_weight_I25() -> None:
    q, k, v = qkv()
    mask = torch.rand(B, H, N, M) < 0.5
    mask[..., 2] = True
    weights = attention(q, k, v, mask)[1]
    assert (weights[~mask] == 0).all()
    assert (weights[mask] > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, N))


@CORES
def test_a_query_that_may_look_at_nothing_gets_zeros_and_finite_gradients_I24(core) -> None:
    q, k, v = (t.requires_grad_() for t in qkv())
    mask = torch.ones(B, H, N, M, dtype=torch.bool)
    mask[0, :, 1] = False
    mask[1, 2] = False
    out = core(q, k, v, mask)
    assert (out[0, :, 1] == 0).all()
    assert (out[1, 2] == 0).all()
    out.square().sum().backward()
    for t in (q, k, v):
        assert t.grad.isfinite().all()
    assert (q.grad[0, :, 1] == 0).all()
    assert (v.grad[1, 2] == 0).all()


@CORES
def test_masked_values_may_be_huge_but_not_seen_I24(core) -> None:
    q, k, v = qkv()
    mask = torch.ones(N, M, dtype=torch.bool)
    mask[:, -1] = False
    before = core(q, k, v, mask)
    k[..., -1, :], v[..., -1, :] = 1e6, -1e6
    torch.testing.assert_close(core(q, k, v, mask), before, rtol=0, atol=0)


def test_causal_mask_aligns_the_last_query_with_the_last_key_I22() -> None:
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True, True, True, True]]
    assert torch.equal(causal_mask(3), torch.ones(3, 3).tril().bool())
    with rejects("m:"):
        causal_mask(4, 2)
    with rejects("n:"):
        causal_mask(0)


# ------------------------------------------------------------------------------------------------ heads


def copied(width: int, heads: int) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    """Our layer and PyTorch's with the same random weights."""
    ours, theirs = MultiHeadAttention(width, heads), nn.MultiheadAttention(width, heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_bias.normal_()
        for i, name in enumerate("qkv"):
            part = slice(i * width, (i + 1) * width)
            getattr(ours, name).weight.copy_(theirs.in_proj_weight[part])
            getattr(ours, name).bias.copy_(theirs.in_proj_bias[part])
        ours.out.load_state_dict(theirs.out_proj.state_dict())
    return ours.eval(), theirs.eval()


@pytest.mark.parametrize("explicitly", [True, False])
def test_equals_torch_multihead_attention_I16_I17_I19(explicitly: bool) -> None:
    ours, theirs = copied(12, 3)
    x = torch.randn(B, N, 12)
    real = torch.tensor([[True] * N, [True, True, True, False, False]])
    want, weights = theirs(x, x, x, key_padding_mask=~real, attn_mask=~causal_mask(N), average_attn_weights=False)
    got = ours(x, causal=True, key_mask=real, return_weights=explicitly)
    torch.testing.assert_close(got[0] if explicitly else got, want, rtol=0, atol=1e-5)
    if explicitly:
        torch.testing.assert_close(got[1], weights, rtol=0, atol=1e-5)


@pytest.mark.parametrize("explicitly", [True, False])
def test_cross_attention_equals_torch_I16_I17_I24(explicitly: bool) -> None:
    ours, theirs = copied(12, 3)
    x, context = torch.randn(B, N, 12), torch.randn(B, M, 12)
    real = torch.tensor([[True] * M, [True] * 4 + [False] * 3])
    want = theirs(x, context, context, key_padding_mask=~real)[0]
    got = ours(x, context, key_mask=real, return_weights=explicitly)
    torch.testing.assert_close(got[0] if explicitly else got, want, rtol=0, atol=1e-5)


def test_eq_multihead_as_printed_I60() -> None:
    layer = MultiHeadAttention(12, 3, context_width=10, bias=False).double()
    x, c = torch.randn(N, 12).double(), torch.randn(M, 10).double()
    heads = []
    for h in range(3):
        rows = slice(4 * h, 4 * h + 4)
        heads.append(attention(x @ layer.q.weight[rows].T, c @ layer.k.weight[rows].T, c @ layer.v.weight[rows].T)[0])
    want = torch.cat(heads, dim=-1) @ layer.out.weight.T
    torch.testing.assert_close(layer(x[None], c[None])[0], want, rtol=0, atol=1e-12)


def test_fewer_key_heads_equal_repeated_ones_and_transformers_order() -> None:
    small, full = layer_of(kv_heads=1), layer_of()
    full.q.load_state_dict(small.q.state_dict())
    full.out.load_state_dict(small.out.state_dict())
    with torch.no_grad():
        for name in ("k", "v"):
            getattr(full, name).weight.copy_(getattr(small, name).weight.repeat(3, 1))
            getattr(full, name).bias.copy_(getattr(small, name).bias.repeat(3))
    x = torch.randn(B, N, 12)
    torch.testing.assert_close(small(x, causal=True), full(x, causal=True), rtol=0, atol=1e-6)
    q, k, v = torch.randn(B, 6, N, D), torch.randn(B, 2, N, D), torch.randn(B, 2, N, D)
    want = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    got = fused_attention(q, k.repeat_interleave(3, dim=1), v.repeat_interleave(3, dim=1))
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


def assert_equals_transformers(ours: MultiHeadAttention, theirs: nn.Module, rotary: nn.Module) -> None:
    """Each of our paths against one of transformers' causal attentions of width 24 with the same weights."""
    x = torch.randn(B, 9, 24)
    angles = rotary(x, torch.arange(9)[None])
    forbidden = torch.zeros(9, 9).masked_fill(~causal_mask(9), -torch.inf)[None, None]
    want = theirs(x, position_embeddings=angles, attention_mask=forbidden)[0]
    for path in ("explicit", "fused", "cached"):
        torch.testing.assert_close(run(ours, x, path), want, rtol=0, atol=1e-5)


def test_equals_transformers_llama_attention_with_rotation_and_grouped_heads_I30() -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

    config = LlamaConfig(hidden_size=24, num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=64)
    config._attn_implementation = "eager"
    theirs = LlamaAttention(config, 0).eval()
    ours = MultiHeadAttention(24, 6, kv_heads=2, bias=False, rotary=Rotary(4)).eval()
    for mine, other in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("out", "o_proj")):
        getattr(ours, mine).load_state_dict(getattr(theirs, other).state_dict())
    assert_equals_transformers(ours, theirs, LlamaRotaryEmbedding(config))


def test_equals_transformers_gated_attention_of_qwen3_next() -> None:
    """Their attention also norms queries and keys, and keeps each head's query and gate in one matrix, in this order."""
    from transformers import Qwen3NextConfig
    from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextAttention, Qwen3NextRotaryEmbedding

    config = Qwen3NextConfig(
        hidden_size=24, num_attention_heads=6, num_key_value_heads=2, head_dim=4, max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 1.0},
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = Qwen3NextAttention(config, 0).eval()
    theirs.q_norm = theirs.k_norm = nn.Identity()
    ours = MultiHeadAttention(24, 6, kv_heads=2, bias=False, rotary=Rotary(4), gated=True).eval()
    for mine, other in (("k", "k_proj"), ("v", "v_proj"), ("out", "o_proj")):
        getattr(ours, mine).load_state_dict(getattr(theirs, other).state_dict())
    with torch.no_grad():
        queries, gates = theirs.q_proj.weight.view(6, 8, 24).chunk(2, dim=1)
        ours.q.weight.copy_(queries.reshape(24, 24))
        ours.gate.weight.copy_(gates.reshape(24, 24))
    assert_equals_transformers(ours, theirs, Qwen3NextRotaryEmbedding(config))


def test_eq_gated_attention_as_printed_I60() -> None:
    layer, plain = (MultiHeadAttention(12, 3, context_width=10, bias=False, gated=g).double() for g in (True, False))
    plain.load_state_dict({name: tensor for name, tensor in layer.state_dict().items() if name != "gate.weight"})
    plain.out.weight = nn.Parameter(torch.eye(12).double())  # shows what the heads found
    x, c = torch.randn(B, N, 12).double(), torch.randn(B, M, 10).double()
    want = plain(x, c) / (1 + (-x @ layer.gate.weight.T).exp()) @ layer.out.weight.T
    torch.testing.assert_close(layer(x, c), want, rtol=0, atol=1e-12)


@PATHS
def test_a_gate_of_zeros_is_half_open_and_a_shut_one_lets_nothing_through(path: str) -> None:
    layer, x = layer_of(rotary=Rotary(4), gated=True), torch.randn(B, 8, 12)
    with torch.no_grad():
        layer.gate.weight.zero_()
        layer.gate.bias.zero_()
        layer.out.bias.zero_()
        half = run(layer, x, path)
        layer.gate.bias.fill_(-200.0)
        shut = run(layer, x, path)
        layer.gate = None
        torch.testing.assert_close(half, run(layer, x, path) / 2, rtol=0, atol=1e-6)
    assert not shut.any()


# ------------------------------------------------------------------------------------------------ dependence


@PATHS
@pytest.mark.parametrize("gated", [False, True])
def test_nothing_comes_from_the_future_I21(path: str, gated: bool) -> None:
    layer, x = layer_of(rotary=Rotary(4), gated=gated), torch.randn(B, 8, 12)
    before = run(layer, x, path)
    for t in range(1, 8):
        changed = x.clone()
        changed[:, t] += 3.0
        after = run(layer, changed, path)
        torch.testing.assert_close(after[:, :t], before[:, :t], rtol=0, atol=0)
        assert not torch.allclose(after[:, t], before[:, t])
        assert not torch.allclose(after[:, -1], before[:, -1])


@PATHS
def test_examples_do_not_mix_and_padding_is_not_seen_I17_I18_I24(path: str) -> None:
    layer, x = layer_of(), torch.randn(B, 8, 12)
    real = torch.ones(B, 8, dtype=torch.bool)
    real[0, 5:] = False
    before = run(layer, x, path, real)
    other = x.clone()
    other[1] += 1.0
    torch.testing.assert_close(run(layer, other, path, real)[0], before[0], rtol=0, atol=0)
    padded = x.clone()
    padded[0, 5:] = 1e4
    after = run(layer, padded, path, real)
    torch.testing.assert_close(after[0, :5], before[0, :5], rtol=0, atol=0)
    assert after.isfinite().all()


@PATHS
def test_a_row_of_padding_alone_stays_finite_forward_and_backward_I24(path: str) -> None:
    layer, x = layer_of(), torch.randn(B, 8, 12, requires_grad=True)
    real = torch.ones(B, 8, dtype=torch.bool)
    real[1] = False
    out = run(layer, x, path, real)
    torch.testing.assert_close(
        out[1], layer.out.bias.expand(8, 12), rtol=0, atol=0
    )  # zeros, through the last projection
    assert out.isfinite().all()
    if path != "cached":
        out.square().sum().backward()
        assert x.grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_without_positions_a_permuted_input_gives_the_permuted_output_and_with_them_it_does_not_I29() -> None:
    x, order = torch.randn(B, N, 12), torch.tensor([3, 0, 4, 1, 2])
    plain, rotary = layer_of(), layer_of(rotary=Rotary(4))
    torch.testing.assert_close(plain(x[:, order]), plain(x)[:, order], rtol=0, atol=1e-6)
    assert not torch.allclose(rotary(x[:, order]), rotary(x)[:, order], atol=1e-3)


def test_a_further_mask_restricts_and_combines() -> None:
    layer, x = layer_of(), torch.randn(B, N, 12)
    window = causal_mask(N) & ~causal_mask(N).tril(-2)
    out, weights = layer(x, causal=True, mask=window[None], return_weights=True)
    assert (weights[:, :, ~window] == 0).all()
    torch.testing.assert_close(layer(x, causal=True, mask=window[None]), out, rtol=0, atol=1e-6)


@pytest.mark.parametrize("explicitly", [True, False])
def test_dropout_is_off_in_eval_and_on_in_training_I26(explicitly: bool) -> None:
    layer, x = MultiHeadAttention(12, 3, dropout=0.5), torch.randn(B, N, 12)

    def once() -> Tensor:
        out = layer(x, return_weights=explicitly)
        return out[0] if explicitly else out

    layer.eval()
    assert torch.equal(once(), once())
    layer.train()
    assert not torch.equal(once(), once())


# ------------------------------------------------------------------------------------------------ the cache


@pytest.mark.parametrize("options", [{}, {"rotary": Rotary(4)}, {"kv_heads": 1}, {"gated": True}])
def test_cached_equals_uncached_for_more_than_the_first_room_I22_I23(options: dict) -> None:
    layer, x = layer_of(**options), torch.randn(B, 40, 12)
    cache = KVCache()
    with torch.no_grad():
        full = layer(x, causal=True)
        steps = [layer(x[:, t : t + 1], causal=True, cache=cache) for t in range(40)]
    torch.testing.assert_close(torch.cat(steps, dim=1), full, rtol=0, atol=1e-5)
    assert cache.length == 40


def test_a_truncated_cache_forgets_I23() -> None:
    layer, x = layer_of(rotary=Rotary(4)), torch.randn(B, 10, 12)
    cache = KVCache()
    with torch.no_grad():
        layer(torch.cat([x[:, :6], torch.randn(B, 3, 12)], dim=1), causal=True, cache=cache)
        cache.truncate(6)
        got = layer(x[:, 6:], causal=True, cache=cache)
        torch.testing.assert_close(got, layer(x, causal=True)[:, 6:], rtol=0, atol=1e-5)


def test_positions_given_by_hand_serve_left_padding_I23() -> None:
    layer, x = layer_of(rotary=Rotary(4)), torch.randn(1, 5, 12)
    padded = torch.cat([torch.randn(1, 2, 12), x], dim=1)
    real = torch.tensor([[False, False, True, True, True, True, True]])
    got = layer(padded, causal=True, key_mask=real, positions=torch.tensor([[0, 0, 0, 1, 2, 3, 4]]))
    torch.testing.assert_close(got[:, 2:], layer(x, causal=True), rtol=0, atol=1e-5)


def test_the_cache_of_cross_attention_is_filled_once() -> None:
    layer, x, context = layer_of(), torch.randn(B, N, 12), torch.randn(B, M, 12)
    cache = KVCache()
    with torch.no_grad():
        steps = [layer(x[:, t : t + 1], context, cache=cache) for t in range(N)]
        torch.testing.assert_close(torch.cat(steps, dim=1), layer(x, context), rtol=0, atol=1e-6)
    assert cache.length == M


def test_a_cache_keeps_no_graph_I27() -> None:
    layer, cache = layer_of(), KVCache()
    with torch.no_grad():
        layer(torch.randn(B, N, 12), causal=True, cache=cache)
    assert not cache.k.requires_grad
    with rejects("no_grad"):
        layer(torch.randn(B, N, 12), causal=True, cache=cache)


def test_what_is_forbidden_gets_nothing_however_low_the_other_scores_are() -> None:
    """A large negative number in place of minus infinity would lose against scores that are lower still."""
    q, k = torch.tensor([[200.0]]), torch.tensor([[-100.0], [1.0]])
    mask = torch.tensor([[True, False]])
    out, weights = attention(q, k, torch.tensor([[3.0], [5.0]]), mask)
    assert out.tolist() == [[3.0]] and weights.tolist() == [[1.0, 0.0]]


# ------------------------------------------------------------------------------------------------ bad input


def test_bad_input_of_the_core() -> None:
    q, k, v = qkv()
    for core in (attention, fused_attention):
        with rejects("k:"):
            core(q, k[..., :3], v)
        with rejects("v:"):
            core(q, k, v[:, :, 1:])
        with rejects("k: got shape .* with batch = "):
            core(q, k[:1], v[:1])
        with rejects("mask: got torch.float32, wanted a tensor of true and false"):
            core(q, k, v, torch.zeros(N, M))
        with rejects("broadcasts"):
            core(q, k, v, torch.ones(M, N, dtype=torch.bool))
        with rejects("k:"):
            core(q, k[:, :, :0], v[:, :, :0])


def test_bad_input_of_the_layer() -> None:
    for options in ({"heads": 5}, {"heads": 0}, {"heads": 3, "kv_heads": 2}, {"heads": 3, "dropout": -1.0}):
        with rejects("heads|dropout"):
            MultiHeadAttention(12, **options)
    with rejects("rotary"):
        MultiHeadAttention(12, 3, rotary=Rotary(6))
    layer, x = layer_of(), torch.randn(B, N, 12)
    with rejects("x:"):
        layer(torch.randn(B, N, 11))
    with rejects("x:"):
        layer(torch.randn(N, 12))
    with rejects("context"):
        layer(x, torch.randn(B, M, 11))
    with rejects("context"):
        layer(x, torch.randn(1, M, 12))
    with rejects("causal"):
        layer(x, torch.randn(B, M, 12), causal=True)
    with rejects("key_mask"):
        layer(x, key_mask=torch.ones(B, M, dtype=torch.bool))
    with rejects("booleans"):
        layer(x, key_mask=torch.ones(B, N))
    with rejects("mask"):
        layer(x, mask=torch.ones(3, N, N, dtype=torch.bool))
    cache = KVCache()
    cache.append(torch.zeros(B, 3, N, 4), torch.zeros(B, 3, N, 4))
    with rejects("cache"):
        layer(x, torch.randn(B, M, 12), cache=cache)


def test_the_causal_flag_is_refused_where_it_would_be_aligned_wrongly_I22() -> None:
    q, k = torch.randn(B, H, 3, 4), torch.randn(B, H, N, 4)
    with rejects("causal"):
        fused_attention(q, k, k, causal=True)
    with rejects("causal"):
        fused_attention(k, k, k, causal_mask(N), causal=True)
    torch.testing.assert_close(fused_attention(k, k, k, causal=True), attention(k, k, k, causal_mask(N))[0])
