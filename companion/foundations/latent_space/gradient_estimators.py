"""Gradient estimators of an expectation, score function and reparameterisation, and the variance of each.

We want the gradient of E[f(z)] with z ~ N(mu, sigma^2 I) in mu. Sources: Williams, "Simple statistical
gradient-following algorithms", 1992 (score function); Kingma & Welling, arXiv:1312.6114 (reparameterisation); Mohamed,
Rosca, Figurnov & Mnih, arXiv:1906.10652 (both, compared). Taught in the lesson ``latent_space``:

- ``eq-pathwise``: grad = f'(mu + sigma eps), eps ~ N(0, I). `reparameterised`.
- ``eq-score-function``: grad = (f(z) - b) (z - mu) / sigma^2, for any b that does not depend on z. `score_function`.
- ``eq-gradient-variance``: for f(z) = ``|z - mu|^2 / 2`` in d dimensions the variance of one component of one draw is
  sigma^2 by reparameterisation; by the score function it is sigma^2 (d + 2)(d + 4) / 4 with b = 0, and at its least
  sigma^2 (d + 2) / 2, with b = sigma^2 (d + 2) / 2. `quadratic_variances`.
- the best constant: setting the derivative of the variance in b to zero gives ``b = E[f |z - mu|^2] / E[|z - mu|^2]``, a
  mean of f in which far draws count more; it lies above E[f] = sigma^2 d / 2. `QuadraticVariances.best_baseline`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from companion.training.random import randn
from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    checked,
)

Objective = Callable[[Tensor], Tensor]


def reparameterised(
    f: Objective, mu: Float[Tensor, "d"], sigma: float, draws: int, generator: torch.Generator
) -> Float[Tensor, "draws d"]:
    """One gradient in mu a draw, through the draw: it uses the slope of f (``eq-pathwise``).

    Args:
        f: one number for each row of z; it must be differentiable.
        mu: the mean of z.
        sigma: above 0.
    """
    z = _draw(mu, sigma, draws, generator).requires_grad_()
    value = _value(f, z)
    if not value.requires_grad:
        raise ValueError("f: got a value without a slope in z, wanted a differentiable f; use score_function")
    (slope,) = torch.autograd.grad(value.sum(), z)  # dz/dmu = I, so the slope in z is the gradient in mu
    return slope


@checked
def score_function(
    f: Objective,
    mu: Float[Tensor, "d"],
    sigma: float,
    draws: int,
    generator: torch.Generator,
    *,
    baseline: Annotated[float, Range()] = 0.0,
) -> Float[Tensor, "draws d"]:
    """One gradient in mu a draw, from values of f alone (``eq-score-function``); f need not be differentiable.

    Args:
        baseline: a constant that is subtracted from f. It leaves the mean as it is and can lower the variance.
    """
    z = _draw(mu, sigma, draws, generator)
    with torch.no_grad():
        return (_value(f, z) - baseline)[:, None] * (z - mu) / sigma**2


@dataclass(frozen=True)
class QuadraticVariances:
    """The variance of one component of one draw's gradient, for f(z) = ``|z - mu|^2 / 2``."""

    reparameterised: float
    score_function: float
    score_function_with_baseline: float  # with the best constant
    best_baseline: float


@checked
def quadratic_variances(d: Count, sigma: Positive) -> QuadraticVariances:
    """The closed forms of ``eq-gradient-variance``, by the moments of a chi-squared variable."""
    best = sigma**2 * (d + 2) / 2
    return QuadraticVariances(sigma**2, sigma**2 * (d + 2) * (d + 4) / 4, best, best_baseline=best)


@checked
def _draw(mu: Finite[Tensor, "d"], sigma: Positive, draws: Count, generator: torch.Generator) -> Tensor:
    noise = randn((draws, len(mu)), generator, like=mu)
    return mu.detach() + sigma * noise


def _value(f: Objective, z: Tensor) -> Tensor:
    value = f(z)
    if value.shape != z.shape[:1]:
        raise ValueError(f"f: got a value of shape {tuple(value.shape)}, wanted one number a draw: ({len(z)},)")
    return value
