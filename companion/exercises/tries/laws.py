"""The tries of the lesson on scaling laws: tokens for a compute, the best size, an interval, a loss for outliers."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.exercises.tries import Try


def tokens_for(compute: float, forward: float) -> float:
    """How many tokens a compute pays for, if one costs ``forward`` operations going forward."""
    return compute / (3 * forward)


def best_size(sizes: Float[Tensor, "n"], losses: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Where the parabola in ln N through the runs is lowest."""
    x = sizes.log()
    powers = torch.stack([x**2, x, torch.ones_like(x)], 1)
    c, b, _ = torch.linalg.lstsq(powers, losses[:, None]).solution.flatten()
    return (-b / (2 * c)).exp()


def interval(values: Float[Tensor, "n"], level: float) -> Float[Tensor, "2"]:
    """The two ends between which so large a share of the values lies, with as many left over on each side."""
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype)
    return values.quantile(ends)


def huber(off: Float[Tensor, "n"], delta: float) -> Float[Tensor, "n"]:
    """A parabola for errors up to delta, a straight line for larger ones."""
    return torch.where(off.abs() < delta, off**2 / 2, delta * (off.abs() - delta / 2))


def _computes(g: Generator) -> list[tuple[float, float]]:
    factors = (1 + torch.rand(2, 2, generator=g, dtype=torch.float64)).tolist()
    return [(1e9 * factors[0][0], 1e3 * factors[0][1]), (1e12 * factors[1][0], 1e5 * factors[1][1])]


def _valleys(g: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for best, count in ((5e3, 5), (4e4, 7)):
        drawn = torch.rand(2, generator=g, dtype=torch.float64)
        sizes = best * 2.0 ** (torch.arange(count, dtype=torch.float64) - 1.3 - drawn[0])
        found.append((sizes, 2 + (0.05 + 0.1 * drawn[1]) * (sizes / best).log() ** 2))
    return found


def _values(g: Generator) -> list[tuple[Tensor, float]]:
    return [(torch.randn(n, generator=g, dtype=torch.float64).exp(), level) for n, level in ((60, 0.9), (200, 0.8))]


def _errors(g: Generator) -> list[tuple[Tensor, float]]:
    small = torch.linspace(-0.9, 0.9, 4)
    found = []
    for delta in (0.3, 2.0):
        large = (1.5 + torch.rand(2, generator=g)) * torch.tensor([-1, 1])
        found.append((delta * torch.cat([small, large]), delta))
    return found


TRIES = (
    Try(
        "3.8-laws-1", "tokens_for(compute, forward)", tokens_for, _computes,
        {
            "the way back is forgotten": lambda compute, forward: compute / forward,
            "the way back costs twice as much: three in all, not two": lambda compute, forward: compute / (2 * forward),
            "multiplied, not divided": lambda compute, forward: compute * 3 * forward,
            "six, as if the cost were the number of parameters": lambda compute, forward: compute / (6 * forward),
        },
    ),
    Try(
        "3.8-laws-2", "best_size(sizes, losses)", best_size, _valleys,
        {
            "a parabola in N, not in ln N": lambda n, losses: best_size((n / n.mean()).exp(), losses).log() * n.mean(),
            "the lowest run, not the floor of the parabola": lambda n, losses: n[losses.argmin()],
            "ln N, not N: the exponential is missing": lambda n, losses: best_size(n, losses).log(),
            "the sign": lambda n, losses: 1 / best_size(n, losses),
        },
    ),
    Try(
        "3.8-laws-3", "interval(values, level)", interval, _values,
        {
            "all that is left over on each side, not half of it": lambda v, level: (
                v.quantile(torch.tensor([1 - level, level], dtype=v.dtype))
            ),
            "all of them: the smallest and the largest": lambda v, level: torch.stack([v.min(), v.max()]),
            "the mean and one standard deviation": lambda v, level: torch.stack([v.mean() - v.std(), v.mean() + v.std()]),
            "all that is left over is on one side": lambda v, level: (
                v.quantile(torch.tensor([0, level], dtype=v.dtype))
            ),
        },
    ),
    Try(
        "3.8-laws-4", "huber(off, delta)", huber, _errors,
        {
            "a parabola also for large errors": lambda off, delta: off**2 / 2,
            "a straight line also for small errors": lambda off, delta: delta * (off.abs() - delta / 2),
            "the line does not begin where the parabola ends": lambda off, delta: (
                torch.where(off.abs() < delta, off**2 / 2, delta * off.abs())
            ),
            "the line is too steep: its slope is delta": lambda off, delta: (
                torch.where(off.abs() < delta, off**2 / 2, off.abs() - delta / 2)
            ),
        },
    ),
)  # fmt: skip
