"""The tries of the page of refreshers: distances by broadcasting, a Gaussian's density, a slope, bits."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try

Curve = Callable[[float], float]


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """The squared distance of every row of a to every row of b."""
    return (a[:, None] - b[None]).square().sum(-1)


def mahalanobis2(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """How far a point lies from the mean, squared, measured in the spread of each direction."""
    apart = x - mean
    return apart @ torch.linalg.inv(covariance) @ apart


def log_density(x: Tensor, mean: float, sd: float) -> Tensor:
    """The logarithm of the density of N(mean, sd^2)."""
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)


def slope(f: Curve, x: float, h: float) -> float:
    """The slope of f at x by a difference on both sides."""
    return (f(x + h) - f(x - h)) / (2 * h)


def bits(p: Tensor) -> Tensor:
    """The entropy of probabilities, in bits."""
    return -(p * p.log2()).sum()


def _rows(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(n, d, generator=g), torch.randn(m, d, generator=g)) for n, m, d in ((2, 3, 4), (4, 2, 3))]


def _clouds(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (*torch.randn(2, d, generator=g), 2 * torch.eye(d) + 0.5 * root @ root.T)
        for d in (2, 3)
        for root in [torch.randn(d, d, generator=g)]
    ]


def _places(g: Generator) -> list[tuple[Tensor, float, float]]:
    return [(torch.randn(n, generator=g), mean, sd) for n, mean, sd in ((3, 0.5, 2.0), (5, -1.0, 0.5))]


def _curves(g: Generator) -> list[tuple[Curve, float, float]]:
    return [(f, float(1 + torch.rand((), generator=g)), 0.1) for f in (math.exp, lambda x: x**3, lambda x: 1 / x)]


def _laws(g: Generator) -> list[tuple[Tensor]]:
    return [(torch.randn(n, generator=g).softmax(0),) for n in (3, 6)]


TRIES = (
    Try(
        "3.3-refreshers-1", "squared_distances(a, b)", squared_distances, _rows,
        {
            "rows and columns are swapped": lambda a, b: squared_distances(b, a),
            "the root was taken: these are distances": lambda a, b: squared_distances(a, b).sqrt(),
            "the mean over the coordinates, not the sum": lambda a, b: squared_distances(a, b) / a.shape[1],
            "a product, not a difference": lambda a, b: a @ b.T,
        },
    ),
    Try(
        "3.3-refreshers-2", "log_density(x, mean, sd)", log_density, _places,
        {
            "the density, not its logarithm": lambda x, m, s: log_density(x, m, s).exp(),
            "the constant is missing": lambda x, m, s: -0.5 * ((x - m) / s) ** 2 - math.log(s),
            "the width is missing from the height": lambda x, m, s: log_density(x, m, s) + math.log(s),
            "divided by the deviation, not by its square":
                lambda x, m, s: -0.5 * (x - m) ** 2 / s - math.log(s) - 0.5 * math.log(2 * math.pi),
        },
    ),
    Try(
        "3.3-refreshers-3", "mahalanobis2(x, mean, covariance)", mahalanobis2, _clouds,
        {
            "not inverted: directions of large spread count more": lambda x, m, c: (x - m) @ c @ (x - m),
            "the spread is ignored": lambda x, m, c: (x - m) @ (x - m),
            "the mean is not subtracted": lambda x, m, c: x @ torch.linalg.inv(c) @ x,
            "the root was taken": lambda x, m, c: mahalanobis2(x, m, c).sqrt(),
        },
    ),
    Try(
        "3.3-refreshers-4", "slope(f, x, h)", slope, _curves,
        {
            "divided by h: the two points are 2 h apart": lambda f, x, h: 2 * slope(f, x, h),
            "a difference on one side only": lambda f, x, h: (f(x + h) - f(x)) / h,
            "the sign": lambda f, x, h: -slope(f, x, h),
            "not divided: the difference, not the slope": lambda f, x, h: f(x + h) - f(x - h),
        },
    ),
    Try(
        "3.3-refreshers-5", "bits(p)", bits, _laws,
        {
            "nats: the natural logarithm": lambda p: -(p * p.log()).sum(),
            "the sign": lambda p: -bits(p),
            "not weighted by the probabilities": lambda p: -p.log2().sum(),
            "the mean, not the sum": lambda p: bits(p) / len(p),
        },
    ),
)  # fmt: skip
