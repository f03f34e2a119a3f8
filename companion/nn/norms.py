"""Root-mean-square normalisation.

Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467, equation 4:

    RMSNorm(x) = x / √(mean(x²) + ε) · g                                                      (eq-rms-norm)

Unlike layer normalisation it subtracts no mean and adds no bias: the length of a vector is set, its direction is kept.
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
        return (wide * (mean_square + self.eps).rsqrt() * self.weight).to(x.dtype)
