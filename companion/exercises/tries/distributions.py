"""The tries of the lesson on distributions: a log-density, an estimate of KL, the Jacobian, the responsibilities of EM."""

import math

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def log_density(x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """Of independent Gaussians, a number for each example."""
    return -0.5 * ((x - mean) ** 2 / var + (2 * math.pi * var).log()).sum(1)


def estimate_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) from what both densities give to draws of p."""
    return (log_p - log_q).mean()


def in_grey_levels(log_p: Tensor, d: int) -> Tensor:
    """The log-density of pixels in [0, 256], from that of the same pixels in [0, 1]."""
    return log_p - d * math.log(256)


def responsibilities(log_weights: Tensor, log_p: Tensor) -> Tensor:
    """Which component made which example."""
    return (log_weights + log_p).softmax(1)


def _gaussians(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (torch.randn(n, d, generator=g), torch.randn(d, generator=g), 0.3 + 2 * torch.rand(d, generator=g))
        for n, d in ((3, 2), (4, 5))
    ]


def _draws(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [tuple(-1 - torch.rand(2, n, generator=g) * torch.tensor([[1.0], [3.0]])) for n in (4, 9)]


def _densities(g: Generator) -> list[tuple[Tensor, int]]:
    return [(torch.randn(n, generator=g), d) for n, d in ((3, 2), (2, 5))]


def _components(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(k, generator=g).log_softmax(0), torch.randn(n, k, generator=g)) for n, k in ((4, 3), (5, 2))]


TRIES = (
    Try(
        "3.3-distributions-1", "log_density(x, mean, var)", log_density, _gaussians,
        {
            "the mean over the dimensions, not the sum": lambda x, m, v: log_density(x, m, v) / x.shape[1],
            "the constant log 2π is missing": lambda x, m, v: -0.5 * ((x - m) ** 2 / v + v.log()).sum(1),
            "the variance is taken for the standard deviation": lambda x, m, v: log_density(x, m, v**2),
            "the sum over the examples too: one number for all": lambda x, m, v: log_density(x, m, v).sum(),
        },
    ),
    Try(
        "3.3-distributions-2", "estimate_kl(log_p, log_q)", estimate_kl, _draws,
        {
            "the other way round": lambda p, q: (q - p).mean(),
            "the sum, not the mean": lambda p, q: (p - q).sum(),
            "weighted by the densities, though the draws come from p already": lambda p, q: (p.exp() * (p - q)).mean(),
            "the probabilities are compared, not their logarithms": lambda p, q: (p.exp() - q.exp()).mean(),
        },
    ),
    Try(
        "3.3-distributions-3", "in_grey_levels(log_p, d)", in_grey_levels, _densities,
        {
            "the Jacobian is forgotten": lambda p, d: p * 1.0,
            "the sign: the range grows, so the density falls": lambda p, d: p + d * math.log(256),
            "one pixel's factor, not that of all d": lambda p, d: p - math.log(256),
            "divided, though a density's factor is a term of its logarithm": lambda p, d: p / 256**d,
        },
    ),
    Try(
        "3.3-distributions-4", "responsibilities(log_weights, log_p)", responsibilities, _components,
        {
            "the weights of the components are left out": lambda w, p: p.softmax(1),
            "the softmax goes over the examples": lambda w, p: (w + p).softmax(0),
            "not divided by p(x): rows do not sum to one": lambda w, p: (w + p).exp(),
            "logarithms, not probabilities": lambda w, p: (w + p).log_softmax(1),
        },
    ),
)  # fmt: skip
