"""Today's transformer block, as in Llama, Gemma, Qwen and most open models since 2023.

    x ← x + Attention(RMSNorm(x)),  x ← x + GatedMLP(RMSNorm(x))                              (eq-llama-block)

Against GPT-2's block of 2019: the norm keeps no mean and no bias, positions turn queries and keys instead of being added
to the input, the MLP has gates, no linear map has a bias, and several queries may share keys and values.

From 2025 on some models also gate what attention found (`companion.nn.attention`, eq-gated-attention), as Qwen3-Next does.

Source: Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv:2302.13971, section 2.2; grouped
queries from Llama 2 (arXiv:2307.09288). Normalising before each half: Xiong et al. 2020, arXiv:2002.04745.
"""

from companion.nn.attention import MultiHeadAttention
from companion.nn.mlp import GatedMLP
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.nn.transformer_block import TransformerBlock


def llama_block(
    width: int,
    heads: int,
    hidden: int,
    rotary: Rotary,
    *,
    kv_heads: int | None = None,
    head_width: int | None = None,
    norm_eps: float = 1e-6,
    qkv_bias: bool = False,
    gated_attention: bool = False,
) -> TransformerBlock:
    """Causal attention over the past, then a gated MLP, each on a normalised copy of the stream (eq-llama-block).

    Args:
        width: of the stream.
        heads: of the queries.
        hidden: of the gated MLP.
        rotary: the positions; of a head's width. Blocks may share one.
        kv_heads: of the keys and values; as many as ``heads`` if not given.
        head_width: width / heads if not given.
        norm_eps: of both norms.
        qkv_bias: whether queries, keys and values have biases, as in Qwen2.
        gated_attention: whether what attention found passes a gate.

    Raises:
        ValueError: sizes that do not divide, or out of range.
    """
    attention = MultiHeadAttention(
        width, heads, kv_heads=kv_heads, head_width=head_width, bias=qkv_bias, out_bias=False, rotary=rotary,
        gated=gated_attention,
    )  # fmt: skip
    return TransformerBlock(attention, GatedMLP(width, hidden), lambda: RMSNorm(width, eps=norm_eps))
