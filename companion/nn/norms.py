"""Root-mean-square normalisation.

Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467, equation 4:

    RMSNorm(x) = x / √(mean(x²) + ε) · g                                                      (eq-rms-norm)

Unlike layer normalisation it subtracts no mean and adds no bias: the length of a vector is set, its direction is kept.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares of half precision would lose too much
        return _RMSNorm.apply(wide, self.weight, self.eps).to(x.dtype)


class _RMSNorm(torch.autograd.Function):
    """eq-rms-norm with its gradient by hand, because PyTorch's own takes the formula apart on a processor.

    With y = x / rms(x) and h = ∂L/∂(norm) · g:  ∂L/∂x = (h - y · mean(h ⊙ y)) / rms(x).
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, eps: float
    ) -> Float[Tensor, "*batch width"]:
        scale = torch.linalg.vecdot(x, x).div_(x.shape[-1]).add_(eps).rsqrt_()[..., None]
        y = x * scale
        ctx.save_for_backward(y, scale, weight)
        return y * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        y, scale, weight = ctx.saved_tensors
        h = gradient * weight
        along = torch.linalg.vecdot(h, y).div_(y.shape[-1])[..., None]
        return (h - y * along).mul_(scale), (gradient * y).reshape(-1, y.shape[-1]).sum(0), None
