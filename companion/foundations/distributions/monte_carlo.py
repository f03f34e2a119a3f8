r"""Monte Carlo: an expectation as the mean over samples, with the standard error that says how far to trust it.

$E[f(x)] \approx \frac1n \sum_i f(x_i)$ for independent x_i, with the standard error $s / \sqrt n$ (``eq-dist-monte-carlo``),
and the KL divergence as such an expectation (``eq-dist-kl``). Source: Metropolis & Ulam, "The Monte Carlo method", 1949. Taught
in the lesson `distributions`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor

from companion.validate import Finite, Range, check_count, checked


@runtime_checkable
class Distribution(Protocol):
    """Something that one can draw from and evaluate."""

    def log_prob(self, x: Tensor) -> Tensor: ...
    def sample(self, n: int, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate.

    Attributes:
        value: the mean of the samples.
        error: its standard error: the standard deviation of the samples over the root of their number.
    """

    value: float
    error: float


@checked
def monte_carlo(values: Finite[Tensor, "n"]) -> Estimate:
    """The mean of f(x_1), ..., f(x_n) for independent x_i, as an estimate of E[f(x)], with its standard error.

    Raises:
        ValueError: fewer than two values (one says nothing of the spread), NaN, or not one axis.
    """
    check_count("number of values", len(values), low=2)
    return Estimate(values.mean().item(), (values.std() / math.sqrt(len(values))).item())


@checked
def kl_monte_carlo(
    p: Distribution, q: Distribution, n: Annotated[int, Range(2)], generator: torch.Generator
) -> Estimate:
    """KL(p || q) in nats from ``n`` samples of p: all that it needs is to sample from one and to evaluate both."""
    x = p.sample(n, generator)
    return monte_carlo(p.log_prob(x) - q.log_prob(x))
