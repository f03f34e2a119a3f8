"""Attention as other models use it, through its four doors: T5, Gemma, Mistral, MMDiT, a U-Net that a text conditions."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from companion.nn.attention import MultiHeadAttention, causal_mask
from companion.nn.kv_cache import KVCache
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.nn.transformer_block import CrossBlock
from tests.conftest import rejects

B, N, WIDTH = 2, 9, 24
WINDOW = 4


def within(q: Tensor, k: Tensor) -> Tensor:
    """Each place sees itself and the three before it."""
    return (k <= q) & (q - k < WINDOW)


def capped(scores: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return 5 * (scores / 5).tanh()


def copied(ours: MultiHeadAttention, theirs: nn.Module, names: dict[str, str]) -> MultiHeadAttention:
    for mine, other in names.items():
        getattr(ours, mine).load_state_dict(theirs.get_submodule(other).state_dict())
    return ours.eval()


PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "o_proj"}


def in_chunks(layer: MultiHeadAttention, x: Tensor) -> Tensor:
    cache = KVCache()
    with torch.no_grad():
        return torch.cat([layer(part, causal=True, cache=cache) for part in x.split([3, 1, 2, 1, 2], dim=1)], 1)


def both_ways(layer: MultiHeadAttention, x: Tensor, want: Tensor) -> None:
    """The whole sequence at once, and in chunks out of a cache."""
    torch.testing.assert_close(layer(x, causal=True), want, rtol=0, atol=1e-5)
    torch.testing.assert_close(layer(x, causal=True, return_weights=True)[0], want, rtol=0, atol=1e-5)
    torch.testing.assert_close(in_chunks(layer, x), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("decoder", [False, True])
def test_t5s_relative_bias_is_a_score_mod(decoder: bool) -> None:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(d_model=WIDTH, d_kv=5, num_heads=3, is_decoder=decoder, dropout_rate=0.0)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).eval()
    nn.init.normal_(theirs.relative_attention_bias.weight)

    def biased(scores: Tensor, q: Tensor, k: Tensor) -> Tensor:
        bucket = theirs._relative_position_bucket(k - q, not decoder, 32, 128)
        return scores + theirs.relative_attention_bias(bucket).permute(2, 0, 1)

    ours = MultiHeadAttention(WIDTH, 3, head_width=5, bias=False, scale=1.0, score_mod=biased)
    copied(ours, theirs, {"q": "q", "k": "k", "v": "v", "out": "o"})
    x = torch.randn(B, N, WIDTH)
    allowed = causal_mask(N) if decoder else torch.ones(N, N, dtype=torch.bool)
    want = theirs(x, mask=torch.zeros(N, N).masked_fill(~allowed, -torch.inf)[None, None])[0]
    if decoder:
        both_ways(ours, x, want)
    torch.testing.assert_close(ours(x, causal=decoder), want, rtol=0, atol=1e-5)


def forbidden(allowed: Tensor) -> Tensor:
    return torch.zeros(N, N).masked_fill(~allowed, -torch.inf)[None, None]


def test_gemma_2s_soft_cap_and_window_are_a_score_mod_and_a_mask_mod() -> None:
    from transformers import Gemma2Config
    from transformers.models.gemma2.modeling_gemma2 import Gemma2Attention, Gemma2RotaryEmbedding

    config = Gemma2Config(
        hidden_size=WIDTH, num_attention_heads=6, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=11,
        attn_logit_softcapping=5.0, sliding_window=WINDOW, num_hidden_layers=2,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = Gemma2Attention(config, 0).eval()
    with torch.no_grad():
        theirs.q_proj.weight.mul_(9)  # scores that the cap really changes
    ours = MultiHeadAttention(
        WIDTH,
        6,
        kv_heads=2,
        head_width=8,
        bias=False,
        scale=11**-0.5,
        rotary=Rotary(8),
        score_mod=capped,
        mask_mod=within,
    )
    copied(ours, theirs, PROJECTIONS)
    x = torch.randn(B, N, WIDTH)
    places = torch.arange(N)
    angles = Gemma2RotaryEmbedding(config)(x, places[None])
    want = theirs(x, position_embeddings=angles, attention_mask=forbidden(within(places[:, None], places)))[0]
    both_ways(ours, x, want)
    ours.score_mod = None
    assert (ours(x, causal=True) - want).abs().max() > 1e-3


def test_gemma_3s_norms_of_queries_and_keys() -> None:
    """Gemma's gain is 1 + weight; the norms come before the rotation."""
    from transformers import Gemma3TextConfig
    from transformers.models.gemma3.modeling_gemma3 import Gemma3Attention

    config = Gemma3TextConfig(
        hidden_size=WIDTH, num_attention_heads=6, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8,
        sliding_window=WINDOW, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = Gemma3Attention(config, 0).eval()
    ours = MultiHeadAttention(
        WIDTH,
        6,
        kv_heads=2,
        head_width=8,
        bias=False,
        rotary=Rotary(8),
        qk_norm=partial(RMSNorm, eps=1e-6),
        mask_mod=within,
    )
    copied(ours, theirs, PROJECTIONS)
    with torch.no_grad():
        for mine, other in ((ours.q_norm, theirs.q_norm), (ours.k_norm, theirs.k_norm)):
            mine.weight.copy_(1 + other.weight.normal_())
    x, places = torch.randn(B, N, WIDTH), torch.arange(N)
    angles = places[:, None] * 10_000 ** (-torch.arange(0, 8, 2) / 8)
    angles = torch.cat([angles, angles], -1)[None]
    want = theirs(
        x, position_embeddings=(angles.cos(), angles.sin()), attention_mask=forbidden(within(places[:, None], places))
    )[0]
    both_ways(ours, x, want)


def test_mistrals_window_in_a_whole_model() -> None:
    """The library makes the mask itself here, so what a window of four means is its own word."""
    from transformers import MistralConfig, MistralModel

    config = MistralConfig(
        vocab_size=23, hidden_size=WIDTH, num_attention_heads=6, num_key_value_heads=2, head_dim=4, num_hidden_layers=1,
        intermediate_size=20, sliding_window=WINDOW,
    )  # fmt: skip
    theirs = MistralModel(config).eval()
    layer, seen = theirs.layers[0].self_attn, {}
    layer.register_forward_hook(
        lambda module, inputs, kwargs, output: seen.update(x=kwargs["hidden_states"], y=output[0]), with_kwargs=True
    )
    theirs(torch.randint(23, (B, N)))
    ours = MultiHeadAttention(WIDTH, 6, kv_heads=2, bias=False, rotary=Rotary(4), mask_mod=within)
    both_ways(copied(ours, layer, PROJECTIONS), seen["x"], seen["y"])


def test_two_streams_attend_jointly_as_in_stable_diffusion_3() -> None:
    from diffusers.models.attention_processor import Attention, JointAttnProcessor2_0

    theirs = Attention(
        query_dim=WIDTH, added_kv_proj_dim=WIDTH, dim_head=8, heads=3, out_dim=WIDTH, context_pre_only=False, bias=True,
        processor=JointAttnProcessor2_0(), qk_norm="rms_norm", eps=1e-6,
    ).eval()  # fmt: skip
    build = partial(MultiHeadAttention, WIDTH, 3, qk_norm=partial(RMSNorm, eps=1e-6))
    names = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0", "q_norm": "norm_q", "k_norm": "norm_k"}
    image = copied(build(), theirs, names)
    names = {"q": "add_q_proj", "k": "add_k_proj", "v": "add_v_proj", "out": "to_add_out", "q_norm": "norm_added_q",
             "k_norm": "norm_added_k"}  # fmt: skip
    text = copied(build(), theirs, names)
    x, y = torch.randn(B, 7, WIDTH), torch.randn(B, 5, WIDTH)
    q, k, v = (torch.cat(pair, 2) for pair in zip(image.project(x), text.project(y), strict=True))
    mixed, weights = image.attend(q, k, v)
    assert weights is None, "nobody asked for them"
    got = image.write(x, mixed[:, :, :7]), text.write(y, mixed[:, :, 7:])
    for mine, want in zip(got, theirs(x, encoder_hidden_states=y), strict=True):
        torch.testing.assert_close(mine, want, rtol=0, atol=1e-5)


def test_a_text_conditions_the_pixels_of_a_u_net() -> None:
    """diffusers' block of Stable Diffusion's U-Net, on pixels as tokens, is a `CrossBlock`."""
    from diffusers.models.attention import BasicTransformerBlock

    theirs = BasicTransformerBlock(WIDTH, 3, 8, cross_attention_dim=10, activation_fn="gelu").eval()
    own, other = MultiHeadAttention(WIDTH, 3), MultiHeadAttention(WIDTH, 3, context_width=10)
    names = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
    for layer, attn in ((own, theirs.attn1), (other, theirs.attn2)):
        for name in "qkv":
            setattr(layer, name, nn.Linear(getattr(layer, name).in_features, WIDTH, bias=False))
        copied(layer, attn, names)
    mlp = nn.Sequential(theirs.ff.net[0].proj, nn.GELU(), theirs.ff.net[2])
    ours = CrossBlock(own, other, mlp, partial(nn.LayerNorm, WIDTH), causal=False).eval()
    with torch.no_grad():
        for mine, norm in (
            (ours.attention_norm, theirs.norm1),
            (ours.cross_norm, theirs.norm2),
            (ours.mlp_norm, theirs.norm3),
        ):
            norm.weight.normal_(), norm.bias.normal_()
            mine.load_state_dict(norm.state_dict())
    pixels, words = torch.randn(B, WIDTH, 4, 5), torch.randn(B, 6, 10)
    tokens = pixels.flatten(2).transpose(1, 2)
    want = theirs(tokens, encoder_hidden_states=words)
    torch.testing.assert_close(ours(tokens, words), want, rtol=0, atol=1e-5)
    assert (ours(tokens, words.flip(0)) - want).abs().max() > 1e-3


def test_modifications_have_no_meaning_between_two_sequences() -> None:
    x, y = torch.randn(B, 3, 12), torch.randn(B, 4, 12)
    for options in ({"score_mod": capped}, {"mask_mod": within}):
        with rejects("cross-attention"):
            MultiHeadAttention(12, 3, **options)(x, y)
    with rejects("positions"):
        MultiHeadAttention(12, 3, head_width=8, rotary=Rotary(8, axes=(4, 4)))(x)


def test_a_window_joins_padding_and_further_masks() -> None:
    layer, x = MultiHeadAttention(12, 3, mask_mod=within).eval(), torch.randn(B, N, 12)
    real = torch.arange(N).expand(B, N) >= 2
    further = torch.rand(1, N, N) < 0.7
    _, weights = layer(x, causal=True, key_mask=real, mask=further, return_weights=True)
    places = torch.arange(N)
    allowed = within(places[:, None], places) & causal_mask(N) & real[:, None] & further
    assert torch.equal(weights > 0, allowed[:, None].expand_as(weights))
