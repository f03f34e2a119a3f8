"""The transformer block: attention and an MLP, each on a normalised copy of the stream, each added to it.

    x ← x + Attention(Norm(x)),  x ← x + MLP(Norm(x))                                         (eq-block)
    x ← x + Attention(Norm(x)),  x ← x + Cross(Norm(x), context),  x ← x + MLP(Norm(x))       (eq-cross-block)

Vaswani et al. 2017, arXiv:1706.03762, with the norms at the entrance of each part ("pre-norm", Xiong et al. 2020,
arXiv:2002.04745). Models differ in what they put in: GPT-2 layer norms and a plain MLP, Llama RMS norms, rotary positions
and a gated MLP (`companion.nn.llama_block`), an encoder attention without a causal mask, a decoder cross-attention. So
the block takes its parts, and every model has this one.
"""

from collections.abc import Callable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache
from companion.validate import Share, checked


class TransformerBlock(nn.Module):
    """A pre-norm block of the parts that it is given (eq-block).

    Args:
        attention: of the stream to itself.
        mlp: of each position by itself.
        norm: builds the norm before each part, of the stream's width.
        causal: whether a position sees only itself and what came before it.
        dropout: on what each part adds, in training mode.

    Raises:
        ValueError: a dropout out of range.
    """

    @checked
    def __init__(
        self,
        attention: MultiHeadAttention,
        mlp: nn.Module,
        norm: Callable[[], nn.Module],
        *,
        causal: bool = True,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = norm(), attention
        self.mlp_norm, self.mlp = norm(), mlp
        self.causal, self.dropout = causal, dropout

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        cache: KVCache | None = None,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
        positions: Int[Tensor, "#batch n *axes"] | None = None,
    ) -> Float[Tensor, "batch n width"]:
        """Map the stream, shape (batch, n, width).

        Args:
            x: with a cache, only the new positions.
            cache: of the keys and values so far.
            key_mask: True at the keys that are real, the cache included.
            positions: of the rows of x, for rotary attention; counted on from the cache if not given.
        """
        seen = self.attention(
            self.attention_norm(x), causal=self.causal, cache=cache, key_mask=key_mask, positions=positions
        )
        x = x + self._drop(seen)
        return x + self._drop(self.mlp(self.mlp_norm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class CrossBlock(TransformerBlock):
    """A block that also reads another sequence (eq-cross-block): a decoder's, or one that a text conditions.

    Args:
        attention: of the stream to itself.
        cross: of the stream to the other sequence.
        mlp: of each position by itself.
        norm: builds the norm before each part, of the stream's width.
        causal: whether a position sees only itself and what came before it.
        dropout: on what each part adds, in training mode.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        cross: MultiHeadAttention,
        mlp: nn.Module,
        norm: Callable[[], nn.Module],
        *,
        causal: bool = True,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(attention, mlp, norm, causal=causal, dropout=dropout)
        self.cross_norm, self.cross = norm(), cross

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        context: Float[Tensor, "batch m context_width"],
        cache: KVCache | None = None,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
        positions: Int[Tensor, "#batch n *axes"] | None = None,
        *,
        context_cache: KVCache | None = None,
        context_mask: Bool[Tensor, "batch m"] | None = None,
        return_weights: bool = False,
    ) -> Float[Tensor, "batch n width"] | tuple[Float[Tensor, "batch n width"], Float[Tensor, "batch heads n m"]]:
        """Map the stream, shape (batch, n, width), looking at a context of shape (batch, m, context width).

        Args:
            x: with a cache, only the new positions.
            context: the other sequence, at every call the same.
            cache: of the stream's keys and values so far.
            key_mask: True at the keys of the stream that are real, the cache included.
            positions: of the rows of x, for rotary attention.
            context_cache: of the context's keys and values, filled at the first call.
            context_mask: True where the context is real.
            return_weights: also return the weights of the cross-attention.
        """
        seen = self.attention(
            self.attention_norm(x), causal=self.causal, cache=cache, key_mask=key_mask, positions=positions
        )
        x = x + self._drop(seen)
        seen = self.cross(
            self.cross_norm(x), context, cache=context_cache, key_mask=context_mask, return_weights=return_weights
        )
        seen, weights = seen if return_weights else (seen, None)
        x = x + self._drop(seen)
        x = x + self._drop(self.mlp(self.mlp_norm(x)))
        return (x, weights) if return_weights else x
