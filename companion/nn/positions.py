"""Telling attention where things stand: sinusoidal encodings, which are added, and rotary ones, which turn.

Sinusoidal (Vaswani et al. 2017, arXiv:1706.03762, section 3.5), with sine and cosine in neighbouring channels:

    PE(p, 2i) = sin(p / 10000^(2i/d)),  PE(p, 2i+1) = cos(p / 10000^(2i/d))                    (eq-sinusoidal)

Rotary (Su et al. 2021, arXiv:2104.09864): the pair (x_i, x_{i + d/2}) is a point in a plane, turned by the angle p θ_i:

    θ_i = 10000^(-2i/d),   R_p (a, b) = (a cos pθ - b sin pθ,  a sin pθ + b cos pθ)            (eq-rotary)

so that ⟨R_m q, R_n k⟩ depends on m - n alone. Which channels make a pair is a convention: this is the *half-split* one
of Hugging Face's Llama (i with i + d/2); the paper and Meta's original code pair neighbours (2i with 2i + 1). The two
are the same up to a fixed permutation of the channels. Weights are trained for one of them: mixing them up is a bug.

A model that was trained on short texts reads longer ones if positions are pressed together, θ_i / s in place of θ_i (Chen et
al., "Extending Context Window of Large Language Models via Position Interpolation", 2023, arXiv:2306.15595); Gemma 3's layers
that see the whole text have s = 8.

Where things stand on several axes (a film's tokens: time, row, column), each axis turns pairs of its own (Heo et al. 2024,
arXiv:2403.13298, "axial"): then ⟨R_m q, R_n k⟩ depends on the differences along the axes alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from companion.validate import Count, Range, check_count, check_number, checked


@checked
def sinusoidal(
    n: Count,
    width: int,
    *,
    start: Annotated[int, Range(0)] = 0,
    base: float = 10_000.0,
    device: torch.device | None = None,
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
    steps = torch.arange(start, start + n, dtype=torch.float64)
    waves = torch.stack(sin_cos(steps, frequencies(_half(width), base)), dim=-1)
    return waves.flatten(1).to(device, torch.get_default_dtype())


@checked
def frequencies(
    count: Count,
    base: Annotated[float, Range(1, open_low=True)],
    *,
    shift: float = 0.0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | None = None,
) -> Float[Tensor, "count"]:
    """base^(-i / (count - shift)) for i = 0, …, count - 1: the one geometric row behind all encodings by sines.

    Raises:
        ValueError: no frequency, a base of at most 1, or a shift that leaves nothing to divide by.
    """
    if not shift < count:
        raise ValueError(f"shift: got {shift:g}, wanted less than the {count} frequencies: it divides by the rest")
    return torch.exp(-math.log(base) * torch.arange(count, dtype=dtype, device=device) / (count - shift))


def sin_cos(
    x: Num[Tensor, "*batch"], frequencies: Float[Tensor, "count"]
) -> tuple[Float[Tensor, "*batch count"], Float[Tensor, "*batch count"]]:
    """The sines and the cosines of each number at each frequency; how they are put side by side is a convention."""
    angles = x[..., None] * frequencies
    return angles.sin(), angles.cos()


class Rotary(nn.Module):
    """Turn queries and keys by their positions (eq-rotary), in the half-split convention.

    Args:
        width: of a head, even.
        base: of the frequencies.
        axes: how many of the channels each axis turns, even numbers that sum to ``width``; one axis if not given.
        stretch: the frequencies are divided by it, so that a text of so many times the length has the same angles.

    Attributes:
        frequencies: θ_i in radians a position, shape (width / 2); replace them to stretch the context otherwise.

    Raises:
        ValueError: an odd width, axes that do not share it out, or a stretch that is not positive.
    """

    def __init__(
        self, width: int, *, base: float = 10_000.0, axes: Sequence[int] | None = None, stretch: float = 1.0
    ) -> None:
        super().__init__()
        check_number("stretch", stretch, low=0, open_low=True)
        shares = [_half(share) for share in ((width,) if axes is None else axes)]
        if 2 * sum(shares) != width:
            raise ValueError(f"axes: got {list(axes)}, wanted even numbers that sum to the width, {width}")
        self.width, self.axes = width, len(shares)
        # Computed in float64, kept in float32: angles grow with the position, and half precision would round them away.
        each = (torch.cat([frequencies(share, base) for share in shares]) / stretch).float()
        self.register_buffer("frequencies", each, persistent=False)
        axis = torch.arange(len(shares)).repeat_interleave(torch.tensor(shares), output_size=sum(shares))
        self.register_buffer("axis", axis, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Rotary":
        """Move with the model, but stay in float32 when the model is made bfloat16."""
        kept = self.frequencies
        super()._apply(fn, recurse)
        self.frequencies = kept.to(self.frequencies.device)
        return self

    def forward(
        self, x: Float[Tensor, "batch heads n width"], positions: Int[Tensor, "#batch n *axes"]
    ) -> Float[Tensor, "batch heads n width"]:
        """Turn x, shape (batch, heads, n, width), by positions of shape (1 or batch, n), or (1 or batch, n, axes)."""
        if x.ndim != 4 or x.shape[-1] != self.width:
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (batch, heads, n, {self.width})")
        self.check(positions, len(x), x.shape[2])
        return turn(x, *self.angles(positions, x.dtype))

    def check(self, positions: Int[Tensor, "..."], batch: int, n: int) -> None:
        """Raise ``ValueError`` unless positions have the shape (1 or batch, n), or (1 or batch, n, axes)."""
        wanted = (n,) if self.axes == 1 else (n, self.axes)
        if positions.shape[1:] != wanted or len(positions) not in (1, batch):
            sizes = ", ".join(map(str, wanted))
            raise ValueError(f"positions: got shape {tuple(positions.shape)}, wanted (1 or {batch}, {sizes})")

    def angles(
        self, positions: Int[Tensor, "#batch n *axes"], dtype: torch.dtype
    ) -> tuple[Float[Tensor, "#batch 1 n width"], Float[Tensor, "#batch 1 n width"]]:
        """What `turn` takes: the cosines, and the sines with the minus of eq-rotary; queries and keys share them."""
        each = self.frequencies.to(torch.promote_types(dtype, torch.float32))
        where = positions[..., None] if self.axes == 1 else positions[..., self.axis]
        angles = (where * each)[:, None]  # (1 or batch, 1, n, width / 2)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def turn(x: Float[Tensor, "*batch n width"], cos: Tensor, sin: Tensor) -> Float[Tensor, "*batch n width"]:
    """eq-rotary for all pairs at once: rolling by half the width brings each channel its partner."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin).to(x.dtype)


def _half(width: int) -> int:
    check_count("width", width, low=2)
    if width % 2:
        raise ValueError(f"width: got {width}, wanted an even number: channels come in pairs")
    return width // 2
