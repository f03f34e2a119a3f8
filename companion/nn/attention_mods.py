"""What models change about the scores of attention and about who may look at whom: soft caps and windows.

    cap(s) = c tanh(s / c)                                                                    (eq-soft-cap)
    place q may look at place k  ⇔  q - k < w                                                (eq-window)

A soft cap keeps scores, or logits, between -c and c without a corner at which the gradient would stop; near 0 it changes
nothing (Bello et al., "Neural Combinatorial Optimization with Reinforcement Learning", 2016, arXiv:1611.09940; in language
models Gemma 2, arXiv:2408.00118, and Grok-1). A window lets a query see itself and the w - 1 places before it (Beltagy et al.,
"Longformer", 2020, arXiv:2004.05150; Mistral 7B, arXiv:2310.06825); what comes after a place is the causal mask's affair.

Both fit the doors ``score_mod`` and ``mask_mod`` of `companion.nn.attention.MultiHeadAttention`.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.validate import Count, Positive, checked


@checked
@dataclass(frozen=True)
class SoftCap:
    """Hold numbers between -cap and cap (eq-soft-cap); as a ``score_mod`` it looks at no places.

    Attributes:
        cap: the bound.
    """

    cap: Positive

    def __call__(self, x: Float[Tensor, "*any"], *places: Int[Tensor, "..."]) -> Float[Tensor, "*any"]:
        """The capped numbers, in the same order and of the same sign."""
        return self.cap * (x / self.cap).tanh()


@checked
@dataclass(frozen=True)
class Window:
    """Let a place see so many of the last places, its own included (eq-window), as a ``mask_mod``.

    Attributes:
        size: how many.
    """

    size: Count

    def __call__(self, q: Int[Tensor, "n 1"], k: Int[Tensor, "m"]) -> Bool[Tensor, "n m"]:
        """True where the place of the query is less than ``size`` behind that of the key."""
        return q - k < self.size
