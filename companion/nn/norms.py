"""Root-mean-square normalisation.

Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467, equation 4:

    RMSNorm(x) = x / √(mean(x²) + ε) · g                                                      (eq-rms-norm)

Unlike layer normalisation it subtracts no mean and adds no bias: the length of a vector is set, its direction is kept.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.validate import check_count, check_number, check_shapes


class RMSNorm(nn.Module):
    """Divide each vector by its root mean square and scale each channel by a learned gain (eq-rms-norm).

    Args:
        width: of the vectors, the last axis.
        eps: added to the mean square, so that a zero vector stays zero.

    Raises:
        ValueError: a width below 1, or an ``eps`` that is negative.
    """

    def __init__(self, width: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        check_count("width", width)
        check_number("eps", eps, low=0)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Normalise vectors of shape (..., width)."""
        check_shapes(x=(x, f"... {len(self.weight)}"))
        # (x / rms) · g, computed in one pass by PyTorch's kernel; the tests hold it to the formula above.
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
