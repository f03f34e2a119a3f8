"""Root-mean-square normalisation.

Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467, equation 4:

    RMSNorm(x) = x / √(mean(x²) + ε) · g                                                      (eq-rms-norm)

Unlike layer normalisation it subtracts no mean and adds no bias: the length of a vector is set, its direction is kept.

Gemma (2024, arXiv:2403.08295) stores how far the gain is from 1, in its published weights too:

    ZeroCentredRMSNorm(x) = x / √(mean(x²) + ε) · (1 + g)                                     (eq-zero-centred-norm)

so that g starts from 0, and weight decay draws the gain to 1 and not to 0. In half precision 1 + g is formed in float32: near
1, bfloat16 knows no smaller step than 1/128.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.validate import Count, NonNegative, checked


class RMSNorm(nn.Module):
    """Divide each vector by its root mean square and scale each channel by a learned gain (eq-rms-norm).

    Args:
        width: of the vectors, the last axis.
        eps: added to the mean square, so that a zero vector stays zero.

    Raises:
        ValueError: a width below 1, or an ``eps`` that is negative.
    """

    @checked
    def __init__(self, width: Count, *, eps: NonNegative = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Normalise vectors of shape (..., width)."""
        if x.shape[-1] != len(self.weight):
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (..., {len(self.weight)})")
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares of half precision would lose too much
        # A vector's product with itself, not the mean of squares that are stored first: its gradient takes half as long.
        mean_square = torch.linalg.vecdot(wide, wide)[..., None] / x.shape[-1]
        return (wide * (mean_square + self.eps).rsqrt() * self.gain).to(x.dtype)

    @property
    def gain(self) -> Float[Tensor, "width"]:
        """What each channel is scaled by."""
        return self.weight


class ZeroCentredRMSNorm(RMSNorm):
    """RMS normalisation whose weight is how far the gain is from 1 (eq-zero-centred-norm), as in Gemma.

    Args:
        width: of the vectors, the last axis.
        eps: added to the mean square.

    Raises:
        ValueError: a width below 1, or an ``eps`` that is negative.
    """

    def __init__(self, width: Count, *, eps: NonNegative = 1e-6) -> None:
        super().__init__(width, eps=eps)
        nn.init.zeros_(self.weight)

    @property
    def gain(self) -> Float[Tensor, "width"]:
        """What each channel is scaled by, in float32 at least."""
        return 1 + self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
