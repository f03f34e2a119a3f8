"""The block with four norms: each part of it reads a normalised copy of the stream, and what it adds is normalised, too.

    x ← x + Norm(Attention(Norm(x))),  x ← x + Norm(MLP(Norm(x)))                             (eq-sandwich-block)

Ding et al., "CogView", 2021, arXiv:2105.13290, called it "Sandwich-LN" and used it against values that grow from block to
block; Gemma 2 (2024, arXiv:2408.00118) and Gemma 3, and Grok-1, have it. Of a pre-norm block (`companion.nn.transformer_block`)
it differs by the two norms at the exit alone: however large the weights of a part are, its learned gains say how much it adds.
"""

from collections.abc import Callable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache
from companion.nn.transformer_block import TransformerBlock
from companion.validate import Share


class SandwichBlock(TransformerBlock):
    """A block that normalises what each part reads and what it adds (eq-sandwich-block).

    Args:
        attention: of the stream to itself.
        mlp: of each position by itself.
        norm: builds the four norms, of the stream's width.
        causal: whether a position sees only itself and what came before it.
        dropout: on what each part adds, in training mode.

    Raises:
        ValueError: a dropout out of range.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        mlp: nn.Module,
        norm: Callable[[], nn.Module],
        *,
        causal: bool = True,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(attention, mlp, norm, causal=causal, dropout=dropout)
        self.attention_out_norm, self.mlp_out_norm = norm(), norm()

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        cache: KVCache | None = None,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
        positions: Int[Tensor, "#batch n *axes"] | None = None,
    ) -> Float[Tensor, "batch n width"]:
        """Map the stream, shape (batch, n, width); arguments as in `TransformerBlock`."""
        seen = self.attention(
            self.attention_norm(x), causal=self.causal, cache=cache, key_mask=key_mask, positions=positions
        )
        x = x + self._drop(self.attention_out_norm(seen))
        return x + self._drop(self.mlp_out_norm(self.mlp(self.mlp_norm(x))))
