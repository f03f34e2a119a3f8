"""Telling attention where things stand: sinusoidal encodings, which are added, and rotary ones, which turn.

Sinusoidal (Vaswani et al. 2017, arXiv:1706.03762, section 3.5), with sine and cosine in neighbouring channels:

    PE(p, 2i) = sin(p / 10000^(2i/d)),  PE(p, 2i+1) = cos(p / 10000^(2i/d))                    (eq-sinusoidal)

Rotary (Su et al. 2021, arXiv:2104.09864): the pair (x_i, x_{i + d/2}) is a point in a plane, turned by the angle p θ_i:

    θ_i = 10000^(-2i/d),   R_p (a, b) = (a cos pθ - b sin pθ,  a sin pθ + b cos pθ)            (eq-rotary)

so that ⟨R_m q, R_n k⟩ depends on m - n alone. Which channels make a pair is a convention: this is the *half-split* one
of Hugging Face's Llama (i with i + d/2); the paper and Meta's original code pair neighbours (2i with 2i + 1). The two
are the same up to a fixed permutation of the channels. Weights are trained for one of them: mixing them up is a bug.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.validate import check_count, check_number


def sinusoidal(
    n: int, width: int, *, start: int = 0, base: float = 10_000.0, device: torch.device | None = None
) -> Float[Tensor, "n width"]:
    """The encodings of positions start, …, start + n - 1 (eq-sinusoidal).

    Args:
        n: how many positions.
        width: an even number of channels.
        start: the first position: the cache's length, when one generates.
        base: the wavelengths go from 2π to almost 2π · base.

    Raises:
        ValueError: a size below 1, an odd width, or a base of at most 1.
    """
    check_count("n", n)
    check_count("start", start, low=0)
    angles = torch.arange(start, start + n, dtype=torch.float64)[:, None] * _frequencies(width, base)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(device, torch.get_default_dtype())


class Rotary(nn.Module):
    """Turn queries and keys by their positions (eq-rotary), in the half-split convention.

    Attributes:
        width: of a head, even.
        frequencies: θ_i in radians a position, shape (width / 2); replace them to stretch the context.
    """

    def __init__(self, width: int, *, base: float = 10_000.0) -> None:
        super().__init__()
        self.width = width
        # Computed in float64, kept in float32: angles grow with the position, and half precision would round them away.
        self.register_buffer("frequencies", _frequencies(width, base).float(), persistent=False)

    def forward(
        self, x: Float[Tensor, "batch heads n width"], positions: Int[Tensor, "#batch n"]
    ) -> Float[Tensor, "batch heads n width"]:
        """Turn x, shape (batch, heads, n, width), by positions of shape (1 or batch, n)."""
        if x.ndim != 4 or x.shape[-1] != self.width:
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (batch, heads, n, {self.width})")
        if positions.ndim != 2 or positions.shape[0] not in (1, x.shape[0]) or positions.shape[1] != x.shape[2]:
            raise ValueError(f"positions: got shape {tuple(positions.shape)}, wanted (1 or {x.shape[0]}, {x.shape[2]})")
        frequencies = self.frequencies if x.dtype != torch.float64 else self.frequencies.double()
        angles = positions[:, None, :, None] * frequencies  # (1 or batch, 1, n, width / 2)
        return _Turn.apply(x.to(angles.dtype), angles.cos(), angles.sin()).to(x.dtype)


class _Turn(torch.autograd.Function):
    """The rotation of eq-rotary. Its gradient is the rotation back: autograd's, piece by piece, takes nearly twice as long."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, cos: Tensor, sin: Tensor
    ) -> Float[Tensor, "batch heads n width"]:
        ctx.save_for_backward(cos, sin)
        a, b = x.chunk(2, dim=-1)
        turned = torch.empty_like(x)
        left, right = turned.chunk(2, dim=-1)
        torch.mul(a, cos, out=left).addcmul_(b, sin, value=-1)
        torch.mul(b, cos, out=right).addcmul_(a, sin)
        return turned

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _Turn.apply(gradient, cos, -sin), None, None


def _frequencies(width: int, base: float) -> Float[Tensor, "half"]:
    """base^(-2i / width) for i = 0, …, width / 2 - 1, in float64."""
    check_count("width", width, low=2)
    if width % 2:
        raise ValueError(f"width: got {width}, wanted an even number: channels come in pairs")
    check_number("base", base, low=1, open_low=True)
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
