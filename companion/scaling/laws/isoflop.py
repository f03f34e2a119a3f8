r"""The best size for a compute, read off a valley: a parabola through the runs of one compute, and its interval.

- the valley (eq-laws-valley): :math:`L(\ln N) \approx L^* + \tfrac{c}{2}\,(\ln N - \ln N^*)^2` near its floor, by least squares
- how the floor moves (eq-laws-power): :math:`\ln N^* = a \ln C + \text{const}`, by least squares over the computes
- the interval of N*: the misfits of the parabola, drawn anew with replacement and widened by :math:`\sqrt{n / (n - 3)}` because
  three numbers were fitted to them, are added to the parabola, and the fit is repeated

Far from its floor a valley need not be a parabola, so only runs near the lowest point are used.

Source: Hoffmann et al., 2022, arXiv:2203.15556, section 3.2 (approach 2). Departure: the interval; they print that of the
exponent alone, from resampled points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from companion.training.random import randint
from companion.validate import Count, Positive, Range, checked

__all__ = ["Valley", "exponent", "extrapolate", "fit_valley", "resample_valley"]


@dataclass(frozen=True)
class Valley:
    """A parabola in ln N (eq-laws-valley).

    Attributes:
        parameters: N*, where it is lowest.
        loss: how low that is.
        curvature: c, how steep the walls are; above 0.
    """

    parameters: float
    loss: float
    curvature: float

    def at(self, parameters: float | Tensor) -> float | Tensor:
        """The parabola's loss for N parameters, a number or a tensor."""
        log = parameters.log() if isinstance(parameters, Tensor) else math.log(parameters)
        return self.loss + self.curvature / 2 * (log - math.log(self.parameters)) ** 2


@checked
def fit_valley(parameters: Sequence[float], losses: Sequence[float], *, sizes: Annotated[int, Range(3)] = 5) -> Valley:
    """The parabola through the runs of one compute, several of a size if there are several seeds.

    Args:
        parameters: N of each run.
        losses: of each run.
        sizes: only so many sizes are used, those in a row about the one with the lowest mean.

    Raises:
        ValueError: lists of unequal length, fewer than three sizes, or no valley: the parabola opens downwards.
    """
    x, y = _near_floor(parameters, losses, sizes)
    return _parabola(x, y)


@checked
def resample_valley(
    parameters: Sequence[float],
    losses: Sequence[float],
    *,
    resamples: Count,
    generator: torch.Generator,
    sizes: int = 5,
) -> list[Valley]:
    """The valley fitted again to its own parabola with the misfits drawn anew; arguments and errors as `fit_valley`.

    Raises:
        ValueError: also if no more than three runs are used, which leave no misfit.
    """
    x, y = _near_floor(parameters, losses, sizes)
    if len(x) <= 3:
        raise ValueError(f"losses: got {len(x)} runs near the floor, wanted at least 4: three leave no misfit")
    fitted = _parabola(x, y).at(x.exp())
    misfit = (y - fitted) * math.sqrt(len(x) / (len(x) - 3))
    valleys: list[Valley] = []
    for _ in range(20 * resamples):
        drawn = misfit[randint(len(x), (len(x),), generator)]
        valley = _solve(x, fitted + drawn)
        if valley is not None:
            valleys.append(valley)
        if len(valleys) == resamples:
            return valleys
    raise ValueError(
        f"losses: got {len(valleys)} valleys from {20 * resamples} draws, wanted {resamples}: no valley here"
    )


@checked
def exponent(computes: Sequence[Positive], optima: Sequence[Positive]) -> float:
    """a in N* ~ C^a: the slope of ln N* on ln C (eq-laws-power).

    Raises:
        ValueError: fewer than two computes, or not one optimum for each.
    """
    return _line(computes, optima)[0]


@checked
def extrapolate(computes: Sequence[Positive], optima: Sequence[Positive], compute: Positive) -> float:
    """N* at another compute, on the line through ln N* (eq-laws-power); errors as `exponent`."""
    slope, middle, height = _line(computes, optima)
    return math.exp(height + slope * (math.log(compute) - middle))


def _line(computes: Sequence[float], optima: Sequence[float]) -> tuple[float, float, float]:
    """Slope, mean ln C and mean ln N*."""
    if len(computes) != len(optima) or len(set(computes)) < 2:
        raise ValueError(f"computes: got {len(computes)} and {len(optima)} optima, wanted one each for at least 2")
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (computes, optima))
    away = x - x.mean()
    return float((away * y).sum() / (away * away).sum()), float(x.mean()), float(y.mean())


def _near_floor(parameters: Sequence[float], losses: Sequence[float], sizes: int) -> tuple[Tensor, Tensor]:
    """ln N and loss of the runs whose sizes stand in a row about the lowest one; at an edge the row goes on inwards."""
    if len(parameters) != len(losses):
        raise ValueError(f"losses: got {len(losses)} for {len(parameters)} parameters, wanted as many")
    different = sorted(set(parameters))
    if len(different) < 3:
        raise ValueError(
            f"parameters: got {len(different)} different sizes, wanted at least 3: a parabola has three numbers"
        )
    mean = {n: _mean([loss for m, loss in zip(parameters, losses, strict=True) if m == n]) for n in different}
    lowest = different.index(min(mean, key=mean.__getitem__))
    first = max(0, min(lowest - sizes // 2, len(different) - sizes))
    used = set(different[first : first + sizes])
    points = [(math.log(n), loss) for n, loss in zip(parameters, losses, strict=True) if n in used]
    x, y = torch.tensor(points, dtype=torch.float64).T
    return x, y


def _parabola(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> Valley:
    valley = _solve(x, y)
    if valley is None:
        raise ValueError(
            "losses: got a parabola that opens downwards, wanted a valley: sizes on both sides of the best"
        )
    return valley


def _solve(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> Valley | None:
    """Least squares in powers of ln N minus its mean; None if the parabola has no floor."""
    middle = x.mean()
    powers = torch.stack([torch.ones_like(x), x - middle, (x - middle) ** 2], 1)
    a, b, c = torch.linalg.lstsq(powers, y[:, None]).solution.flatten().tolist()
    if c <= 0:
        return None
    return Valley(math.exp(float(middle) - b / (2 * c)), a - b * b / (4 * c), 2 * c)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
