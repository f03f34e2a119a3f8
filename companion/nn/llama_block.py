"""Today's transformer block, as in Llama, Gemma, Qwen and most open models since 2023.

    x ← x + Attention(RMSNorm(x)),  x ← x + GatedMLP(RMSNorm(x))                              (eq-llama-block)

Against GPT-2's block of 2019: the norm keeps no mean and no bias, positions turn queries and keys instead of being added
to the input, the MLP has gates, no linear map has a bias, and several queries may share keys and values.

From 2025 on some models also gate what attention found (`companion.nn.attention`, eq-gated-attention), as Qwen3-Next does.

Source: Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv:2302.13971, section 2.2; grouped
queries from Llama 2 (arXiv:2307.09288). Normalising before each half: Xiong et al. 2020, arXiv:2002.04745.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache
from companion.nn.mlp import GatedMLP
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary


class LlamaBlock(nn.Module):
    """Causal attention over the past, then a gated MLP, each on a normalised copy of the stream (eq-llama-block).

    Args:
        width: of the stream.
        heads: of the queries.
        hidden: of the gated MLP.
        rotary: the positions; of a head's width. Blocks may share one.
        kv_heads: of the keys and values; as many as ``heads`` if not given.
        norm_eps: of both norms.
        gated_attention: whether what attention found passes a gate.

    Raises:
        ValueError: sizes that do not divide, or out of range.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        rotary: Rotary,
        *,
        kv_heads: int | None = None,
        norm_eps: float = 1e-6,
        gated_attention: bool = False,
    ) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(width, eps=norm_eps)
        self.attention = MultiHeadAttention(
            width, heads, kv_heads=kv_heads, bias=False, rotary=rotary, gated=gated_attention
        )
        self.mlp_norm = RMSNorm(width, eps=norm_eps)
        self.mlp = GatedMLP(width, hidden)

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        cache: KVCache | None = None,
        *,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch n width"]:
        """Map the stream, shape (batch, n, width); with a cache, x holds only the new positions.

        ``key_mask`` is True at the keys that are real, the cache included.
        """
        x = x + self.attention(self.attention_norm(x), causal=True, cache=cache, key_mask=key_mask)
        return x + self.mlp(self.mlp_norm(x))
