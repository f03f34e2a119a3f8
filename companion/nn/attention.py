"""Scaled dot-product attention, its masks and its heads.

Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762:

    A = softmax(Q Kᵀ / √d),  Attention(Q, K, V) = A V                                        (eq-attention)
    head_h = Attention(X W_q^h, C W_k^h, C W_v^h),  MultiHead = [head_1, …, head_H] W_o       (eq-multihead)
    Gated = (sigmoid(X W_g) ⊙ [head_1, …, head_H]) W_o                                       (eq-gated-attention)

d is the width of one head, not of the model. C is X itself in self-attention, another sequence in cross-attention.

Everywhere here a mask is boolean and **True means "may look"**, as in `F.scaled_dot_product_attention`; the
``key_padding_mask`` of `nn.MultiheadAttention` means the opposite. A query that may look at nothing gets zeros: no
average of nothing exists, and zeros keep the values and their gradients finite.

Departures from the paper: keys and values may have fewer heads than the queries (Ainslie et al. 2023,
arXiv:2305.13245), queries and keys may be rotated by their positions (`companion.nn.positions.Rotary`), and what the heads
found may pass a gate (eq-gated-attention; Qiu et al. 2025, arXiv:2505.06708, as in Qwen3-Next). Without one, W_v and W_o are
two linear maps with nothing but an average between them; the gate, computed from the place that reads, lets it refuse.

What else the field changes about attention enters by four doors, and no paper has a flag of its own: ``qk_norm`` builds the
norms of queries and keys, ``score_mod`` changes the scores and ``mask_mod`` says who may look at whom (both as in
FlexAttention, Dong et al. 2024, arXiv:2412.05496), and `project`, `attend` and `write` are the three steps of the layer, so
that two streams of tokens can attend jointly.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.kv_cache import KVCache
from companion.nn.positions import Rotary, turn
from companion.validate import Count, Share, check_count, checked

ScoreMod = Callable[
    [Float[Tensor, "batch heads n m"], Int[Tensor, "n 1"], Int[Tensor, "m"]], Float[Tensor, "batch heads n m"]
]
MaskMod = Callable[[Int[Tensor, "n 1"], Int[Tensor, "m"]], Bool[Tensor, "*heads n m"]]


@checked
def attention(
    q: Float[Tensor, "*batch n d"],
    k: Float[Tensor, "*batch m d"],
    v: Float[Tensor, "*batch m e"],
    mask: Bool[Tensor, "..."] | None = None,
    *,
    score_mod: Callable[[Tensor], Tensor] | None = None,
    dropout: float = 0.0,
) -> tuple[Float[Tensor, "*batch n e"], Float[Tensor, "*batch n m"]]:
    """Scaled dot-product attention, step by step (eq-attention).

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: True where query n may look at key m; of a shape that broadcasts to (..., n, m).
        score_mod: changes the scaled scores, shape (..., n, m), before the softmax: a bias, a soft cap.
        dropout: the share of the weights set to 0; the caller decides whether this is training.

    Returns:
        The outputs, and the weights: each row sums to 1, or is 0 where the query
        may look at nothing.

    Raises:
        ValueError: sizes that do not fit, or a mask that is not boolean.
    """
    _check_mask(mask, q, k)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if score_mod is not None:
        scores = score_mod(scores)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        blind = ~mask.any(-1, keepdim=True)  # these rows are computed as if all were allowed, then set to 0
        weights = scores.masked_fill(~(mask | blind), -math.inf).softmax(-1).masked_fill(blind, 0.0)
    weights = F.dropout(weights, dropout, training=dropout > 0)
    return weights @ v, weights


@checked
def fused_attention(
    q: Float[Tensor, "*batch n d"],
    k: Float[Tensor, "*batch m d"],
    v: Float[Tensor, "*batch m e"],
    mask: Bool[Tensor, "..."] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "*batch n e"]:
    """The outputs of `attention` by PyTorch's fused kernel, which never stores the n × m weights; arguments as there.

    ``causal`` is `causal_mask` for as many queries as keys, without building it. PyTorch's flag aligns the first query
    with the first key, which is wrong as soon as keys come out of a cache: then causality comes as a mask.

    Raises:
        ValueError: as for `attention`; or ``causal`` with a mask, or with another number of keys than of queries.
    """
    _check_mask(mask, q, k)
    if causal and (mask is not None or q.shape[-2] != k.shape[-2]):
        raise ValueError(f"causal: got {q.shape[-2]} queries and {k.shape[-2]} keys, wanted as many and no other mask")
    return _fused(q, k, v, mask, causal, 0.0, None)


def _fused(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, dropout: float, scale: float | None
) -> Tensor:
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, None, dropout, causal, scale=scale)
    blind = ~mask.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, mask | blind, dropout, scale=scale).masked_fill(blind, 0.0)


@checked
def causal_mask(n: Count, m: int | None = None, *, device: torch.device | None = None) -> Bool[Tensor, "n m"]:
    """Which of m keys each of the last n positions may look at: itself and all before it (eq-causal).

    Query i stands at position m - n + i, so with m > n the first m - n keys are the past (a cache).

    Raises:
        ValueError: n is not positive, or there are fewer keys than queries.
    """
    m = n if m is None else m
    check_count("m", m, low=n)
    return torch.ones(n, m, dtype=torch.bool, device=device).tril(m - n)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each with its own view of the input (eq-multihead).

    Args:
        width: of the input and the output.
        heads: of the queries.
        kv_heads: of the keys and values, a divisor of ``heads``; as many as ``heads`` if not given.
        head_width: width / heads if not given.
        context_width: of the other sequence in cross-attention; ``width`` if not given.
        bias: whether the projections have one.
        out_bias: whether the last projection has one; as ``bias`` if not given.
        dropout: the share of the weights dropped in training mode.
        scale: of the scores; 1/√(head width) if not given.
        rotary: turns queries and keys by their positions, in self-attention.
        gated: whether what the heads found passes a gate of its own for each number (eq-gated-attention).
        qk_norm: builds the norm of the queries and that of the keys, ``f(head width)``; they come before the rotation.
        score_mod: changes the scaled scores of self-attention, ``f(scores, query places, key places)``.
        mask_mod: which places may look at which in self-attention, ``f(query places, key places)``, beside all masks.
            Places count the keys, those in the cache included: shapes (n, 1) and (m,).

    Raises:
        ValueError: sizes that do not divide, or out of range.
    """

    @checked
    def __init__(
        self,
        width: Count,
        heads: Count,
        *,
        kv_heads: Count | None = None,
        head_width: Count | None = None,
        context_width: Count | None = None,
        bias: bool = True,
        out_bias: bool | None = None,
        dropout: Share = 0.0,
        scale: float | None = None,
        rotary: Rotary | None = None,
        gated: bool = False,
        qk_norm: Callable[[int], nn.Module] | None = None,
        score_mod: ScoreMod | None = None,
        mask_mod: MaskMod | None = None,
    ) -> None:
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        if heads % kv_heads:
            raise ValueError(f"kv_heads: got {kv_heads}, wanted a divisor of heads = {heads}")
        if head_width is None and width % heads:
            raise ValueError(f"heads: got {heads}, wanted a divisor of width = {width}, or a head_width")
        head_width = width // heads if head_width is None else head_width
        if rotary is not None and rotary.width != head_width:
            raise ValueError(f"rotary: got one for width {rotary.width}, wanted the head's width {head_width}")
        context_width = width if context_width is None else context_width
        self.heads, self.kv_heads, self.dropout, self.rotary = heads, kv_heads, dropout, rotary
        self.scale, self.score_mod, self.mask_mod = scale, score_mod, mask_mod
        self.q = nn.Linear(width, heads * head_width, bias)
        self.k = nn.Linear(context_width, kv_heads * head_width, bias)
        self.v = nn.Linear(context_width, kv_heads * head_width, bias)
        self.out = nn.Linear(heads * head_width, width, bias if out_bias is None else out_bias)
        self.gate = nn.Linear(width, heads * head_width, bias) if gated else None
        self.q_norm = None if qk_norm is None else qk_norm(head_width)
        self.k_norm = None if qk_norm is None else qk_norm(head_width)

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        context: Float[Tensor, "batch m context_width"] | None = None,
        *,
        causal: bool = False,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
        mask: Bool[Tensor, "#batch n keys"] | None = None,
        cache: KVCache | None = None,
        positions: Int[Tensor, "#batch n *axes"] | None = None,
        return_weights: bool = False,
    ) -> Float[Tensor, "batch n width"] | tuple[Tensor, Float[Tensor, "batch heads n keys"]]:
        """Let each position of x look at x (self-attention) or at ``context`` (cross-attention).

        Args:
            x: shape (batch, n, width); with a cache in self-attention, only the new positions.
            context: shape (batch, m, context width).
            causal: each position sees itself and what came before it, the cache included.
            key_mask: True at the keys that are real and False at padding, shape (batch, keys), the cache included.
            mask: any further restriction, True where a query may look, shape (1 or batch, n, keys).
            cache: in self-attention the new keys are appended to it; in cross-attention the first call fills it and the
                later ones read it, so one cache belongs to one context.
            positions: of the rows of x, for the rotation; counted on from the cache's length if not given. A rotation
                about several axes wants them, one number an axis.
            return_weights: also return the weights, computed the explicit way.

        Returns:
            Shape (batch, n, width); with ``return_weights`` also the weights, shape (batch, heads, n, keys).

        Raises:
            ValueError: sizes that do not fit; in cross-attention, ``causal``, a ``score_mod`` or a ``mask_mod``.
        """
        if context is not None and (causal or self.score_mod is not None or self.mask_mod is not None):
            raise ValueError(
                "causal, score_mod, mask_mod: got one of them in cross-attention, wanted self-attention: "
                "places of two sequences do not correspond"
            )
        q, k, v = self.project(x, context, cache=cache, positions=positions)
        mixed, weights = self.attend(q, k, v, causal=causal, key_mask=key_mask, mask=mask, explicit=return_weights)
        return (self.write(x, mixed), weights) if return_weights else self.write(x, mixed)

    def project(
        self,
        x: Float[Tensor, "batch n width"],
        context: Float[Tensor, "batch m context_width"] | None = None,
        *,
        cache: KVCache | None = None,
        positions: Int[Tensor, "#batch n *axes"] | None = None,
    ) -> tuple[
        Float[Tensor, "batch heads n d"], Float[Tensor, "batch kv_heads keys d"], Float[Tensor, "batch kv_heads keys d"]
    ]:
        """The first step: queries of x, keys and values of x or ``context``, normed and turned; arguments as above."""
        if x.ndim != 3 or x.shape[-1] != self.q.in_features:
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (batch, n, {self.q.in_features})")
        q = self._split(self.q(x), self.heads)
        if self.q_norm is not None:
            q = self.q_norm(q)
        if context is not None:
            if context.ndim != 3 or len(context) != len(x) or context.shape[-1] != self.k.in_features:
                wanted = f"({len(x)}, m, {self.k.in_features})"
                raise ValueError(f"context: got shape {tuple(context.shape)}, wanted {wanted}")
            if cache is not None and cache.length:
                if (len(cache.k), cache.length) != context.shape[:2]:
                    got = f"{cache.length} places of {len(cache.k)} contexts"
                    raise ValueError(f"cache: got {got}, wanted {context.shape[1]} of {len(context)}")
                return q, cache.k, cache.v
        source = x if context is None else context
        k, v = self._split(self.k(source), self.kv_heads), self._split(self.v(source), self.kv_heads)
        if self.k_norm is not None:
            k = self.k_norm(k)
        if self.rotary is not None and context is None:
            angles = self.rotary.angles(self._positions(x, cache, positions), x.dtype)
            q, k = turn(q, *angles), turn(k, *angles)  # before it is cached: a key's position never changes
        if cache is not None:
            k, v = cache.append(k, v)
        return q, k, v

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch kv_heads keys d"],
        v: Float[Tensor, "batch kv_heads keys d"],
        *,
        causal: bool = False,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
        mask: Bool[Tensor, "#batch n keys"] | None = None,
        explicit: bool = False,
    ) -> tuple[Float[Tensor, "batch heads n d"], Float[Tensor, "batch heads n keys"] | None]:
        """The second step (eq-attention): what each head finds, and its weights if they are asked for or computed anyway."""
        n, m = q.shape[2], k.shape[2]
        explicit = explicit or self.score_mod is not None
        plain = key_mask is None and mask is None and self.mask_mod is None and not explicit
        square = causal and plain and n == m
        allowed = None if plain and (square or not causal) else self._allowed(q, m, causal, key_mask, mask)
        if self.heads != self.kv_heads:
            group = self.heads // self.kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        dropout = self.dropout if self.training else 0.0
        if not explicit:
            return _fused(q, k, v, allowed, square, dropout, self.scale), None
        score_mod = None
        if self.score_mod is not None:
            places = torch.arange(m, device=q.device)

            def score_mod(scores: Tensor) -> Tensor:
                return self.score_mod(scores, places[m - n :, None], places)

        if self.scale is not None:
            q = q * (self.scale * math.sqrt(q.shape[-1]))
        return attention(q, k, v, allowed, score_mod=score_mod, dropout=dropout)

    def write(
        self, x: Float[Tensor, "batch n width"], mixed: Float[Tensor, "batch heads n d"]
    ) -> Float[Tensor, "batch n width"]:
        """The last step: what the heads found, gated where there is a gate, in the width of the stream."""
        found = self._merge(mixed)
        return self.out(found if self.gate is None else found * self.gate(x).sigmoid())

    def _positions(self, x: Tensor, cache: KVCache | None, positions: Tensor | None) -> Tensor:
        if positions is None:
            if self.rotary.axes > 1:
                raise ValueError(
                    f"positions: got None, wanted them on {self.rotary.axes} axes: rotary cannot count them"
                )
            start = 0 if cache is None else cache.length
            return torch.arange(start, start + x.shape[1], device=x.device)[None]
        self.rotary.check(positions, len(x), x.shape[1])
        return positions

    def _allowed(self, q: Tensor, m: int, causal: bool, key_mask: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """All restrictions in one mask that broadcasts to (batch, heads, n, m); None if there are none."""
        batch, _, n, _ = q.shape
        allowed = None
        if causal and n > 1:  # a single newest position sees everything
            allowed = causal_mask(n, m, device=q.device)[None, None]
        if self.mask_mod is not None:
            places = torch.arange(m, device=q.device)
            given = self.mask_mod(places[m - n :, None], places)
            allowed = given if allowed is None else allowed & given
        if key_mask is not None:
            _check_bool("key_mask", key_mask)
            if key_mask.shape != (batch, m):
                raise ValueError(f"key_mask: got shape {tuple(key_mask.shape)}, wanted ({batch}, {m})")
            allowed = key_mask[:, None, None] if allowed is None else allowed & key_mask[:, None, None]
        if mask is not None:
            _check_bool("mask", mask)
            if mask.ndim != 3 or len(mask) not in (1, batch) or mask.shape[1:] != (n, m):
                raise ValueError(f"mask: got shape {tuple(mask.shape)}, wanted (1 or {batch}, {n}, {m})")
            allowed = mask[:, None] if allowed is None else allowed & mask[:, None]
        return allowed

    @staticmethod
    def _split(x: Tensor, heads: int) -> Tensor:
        batch, n, width = x.shape
        if n == 1:  # one new position: the same numbers in the same order, so nothing need be transposed
            return x.view(batch, heads, 1, width // heads)
        return x.view(batch, n, heads, width // heads).transpose(1, 2)  # (batch, heads, n, head width)

    @staticmethod
    def _merge(x: Tensor) -> Tensor:
        batch, heads, n, d = x.shape
        return x.reshape(batch, 1, heads * d) if n == 1 else x.transpose(1, 2).reshape(batch, n, heads * d)


def _check_bool(name: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{name}: got {got}, wanted booleans that are True where a query may look")


def _check_mask(mask: Tensor | None, q: Tensor, k: Tensor) -> None:
    if mask is None:
        return
    wanted = (*q.shape[:-1], k.shape[-2])
    fits = mask.ndim <= len(wanted) and all(
        a in (1, b) for a, b in zip(reversed(mask.shape), reversed(wanted), strict=False)
    )
    if not fits or mask.shape[-1] != k.shape[-2]:
        raise ValueError(f"mask: got shape {tuple(mask.shape)}, wanted one that broadcasts to {wanted}")
