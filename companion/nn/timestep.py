"""Telling a network how noisy its input is: a step's number as a row of sines and cosines.

The encoding of positions (Vaswani et al. 2017, `companion.nn.positions`), used for the step t of a diffusion since Ho et
al. 2020, arXiv:2006.11239. With h = width / 2 and i = 0, …, h - 1:

    ω_i = P^(-i / (h - s)),   emb(t) = [cos(t ω_0), …, cos(t ω_{h-1}), sin(t ω_0), …, sin(t ω_{h-1})]   (eq-timestep)

P is the longest period divided by 2π; the shift s is 0, or 1 in the code of Ho et al., which makes the last frequency
exactly 1 / P. Conventions differ between models whose weights are public: cosines first or sines first, halves side by
side (here) or interleaved (`companion.nn.positions.sinusoidal`). Weights are trained for one of them.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Num
from torch import Tensor

from companion.nn.positions import frequencies, sin_cos
from companion.validate import Range, checked


@checked
def timestep_embedding(
    timesteps: Num[Tensor, "n"],
    width: Annotated[int, Range(2)],
    *,
    cosine_first: bool = True,
    freq_shift: float = 0.0,
    max_period: Annotated[float, Range(1, open_low=True)] = 10_000.0,
) -> Float[Tensor, "n width"]:
    """One row for each step (eq-timestep).

    Args:
        timesteps: whole or fractional numbers.
        width: of a row; an odd one ends in a 0.
        cosine_first: the order of the two halves.
        freq_shift: s, less than width / 2.
        max_period: the number P of the equation.

    Raises:
        ValueError: a width below 2, or a shift that leaves nothing to divide by.
    """
    half = width // 2
    if not freq_shift < half:
        raise ValueError(
            f"freq_shift: got {freq_shift:g}, wanted less than half the width, {half}: it divides by the rest"
        )
    # In float32 throughout, as the networks whose weights are public were trained.
    row = frequencies(half, max_period, shift=freq_shift, dtype=torch.float32, device=timesteps.device)
    sin, cos = sin_cos(timesteps.float(), row)
    parts = [cos, sin] if cosine_first else [sin, cos]
    if width % 2:
        parts.append(torch.zeros_like(sin[:, :1]))
    return torch.cat(parts, dim=-1)
