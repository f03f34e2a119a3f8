r"""Four probability distributions as models of data: density, samples, maximum likelihood, entropy and KL divergence.

All densities are in nats and are summed over the dimensions of an example, never averaged. Taught in the lesson
`distributions`; its equations are

* ``eq-dist-likelihood``: $\hat\theta = \arg\max_\theta \frac1N \sum_n \log p_\theta(x_n)$, closed form in each ``fit``;
* ``eq-dist-gaussian``: $\log N(x; \mu, \sigma^2) = -\frac12 \sum_i [(x_i-\mu_i)^2/\sigma_i^2 + \log 2\pi\sigma_i^2]$;
* ``eq-dist-full-gaussian``: $-\frac12 [(x-\mu)^T \Sigma^{-1} (x-\mu) + \log\det\Sigma + d \log 2\pi]$;
* ``eq-dist-bernoulli``: $\sum_i x_i l_i - \log(1 + e^{l_i})$ with the logits $l$;
* ``eq-dist-categorical``: $\sum_i l_{i x_i} - \log \sum_c e^{l_{ic}}$;
* ``eq-dist-entropy``, ``eq-dist-kl``, ``eq-dist-kl-gaussian``, in closed form in each ``entropy`` and ``kl``.

Source: Bishop, *Pattern Recognition and Machine Learning*, 2006, chapters 1 and 2. The reference for every number is
`torch.distributions`; departing from it, an example is one row, so `log_prob` maps (n, d) to (n), and a distribution
knows how to fit itself to data.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.training.random import bernoulli, multinomial, randn
from companion.validate import Count, Finite, NonNegative, Positive, Range, check_labels, checked

LOG_2PI = math.log(2 * math.pi)


@checked
@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent Gaussians, one for each dimension.

    Attributes:
        mean: of each dimension.
        var: the variances (not standard deviations, not logarithms), all above 0.
    """

    mean: Finite[Tensor, "d"]
    var: Annotated[Float[Tensor, "d"], Range(0, open_low=True)]

    @checked
    def log_prob(self, x: Finite[Tensor, "n d={len(self.mean)}"]) -> Float[Tensor, "n"]:
        return -0.5 * ((x - self.mean) ** 2 / self.var + self.var.log() + LOG_2PI).sum(1)

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n d"]:
        noise = randn((n, len(self.mean)), generator, like=self.mean)
        return self.mean + self.var.sqrt() * noise

    def entropy(self) -> Float[Tensor, ""]:
        return 0.5 * (self.var.log() + LOG_2PI + 1).sum()

    def kl(self, q: "DiagonalGaussian") -> Float[Tensor, ""]:
        """KL(self || q), summed over the dimensions."""
        _same_kind(self, q, "mean")
        ratio = self.var / q.var
        return 0.5 * (ratio + (self.mean - q.mean) ** 2 / q.var - 1 - ratio.log()).sum()

    @classmethod
    @checked
    def fit(
        cls, x: Finite[Tensor, "n d"], weights: Finite[Tensor, "n"] | None = None, *, floor: Positive = 1e-6
    ) -> "DiagonalGaussian":
        """Maximum likelihood under var >= floor; ``weights`` say how much each example counts (equally if not given)."""
        w = _shares(x, weights)
        mean = w @ x
        return cls(mean, (w @ (x - mean) ** 2).clamp(min=floor))

    def refit(self, x: Tensor, weights: Tensor, floor: float) -> "DiagonalGaussian":
        """The next estimate inside EM: here the fit is exact and forgets the last one."""
        return self.fit(x, weights, floor=floor)


@checked
@dataclass(frozen=True)
class FullGaussian:
    """A Gaussian whose dimensions may depend on one another.

    Attributes:
        mean: of each dimension.
        cov: the covariance, symmetric and positive definite.
    """

    mean: Finite[Tensor, "d"]
    cov: Finite[Tensor, "d d"]

    def __post_init__(self) -> None:
        if not torch.allclose(self.cov, self.cov.T, rtol=1e-4, atol=1e-6 * float(self.cov.abs().max())):
            raise ValueError("cov: got a matrix that is not symmetric, wanted a covariance; use (cov + cov.T) / 2")
        self.scale  # noqa: B018  raises if there is none

    @cached_property
    def scale(self) -> Float[Tensor, "d d"]:
        """The Cholesky factor L, lower triangular, with L L^T = cov."""
        factor, info = torch.linalg.cholesky_ex(self.cov)
        if info > 0:
            raise ValueError(
                "cov: got a matrix that is not positive definite, wanted a covariance; raise its eigenvalues"
            )
        return factor

    @checked
    def log_prob(self, x: Finite[Tensor, "n d={len(self.mean)}"]) -> Float[Tensor, "n"]:
        white = torch.linalg.solve_triangular(self.scale, (x - self.mean).T, upper=False)
        return -0.5 * ((white**2).sum(0) + self._log_det() + len(self.mean) * LOG_2PI)

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n d"]:
        noise = randn((n, len(self.mean)), generator, like=self.mean)
        return self.mean + noise @ self.scale.T

    def entropy(self) -> Float[Tensor, ""]:
        return 0.5 * (self._log_det() + len(self.mean) * (LOG_2PI + 1))

    def kl(self, q: "FullGaussian") -> Float[Tensor, ""]:
        """KL(self || q)."""
        _same_kind(self, q, "mean")
        white = torch.linalg.solve_triangular(q.scale, self.scale, upper=False)
        shift = torch.linalg.solve_triangular(q.scale, (self.mean - q.mean)[:, None], upper=False)
        log_ratio = q._log_det() - self._log_det()
        return 0.5 * ((white**2).sum() + (shift**2).sum() - len(self.mean) + log_ratio)

    @classmethod
    @checked
    def fit(
        cls, x: Finite[Tensor, "n d"], weights: Finite[Tensor, "n"] | None = None, *, floor: Positive = 1e-6
    ) -> "FullGaussian":
        """Maximum likelihood among covariances with no eigenvalue below ``floor``: smaller ones are raised to it."""
        w = _shares(x, weights)
        mean = w @ x
        centred = x - mean
        values, vectors = torch.linalg.eigh(centred.T @ (w[:, None] * centred))
        cov = (vectors * values.clamp(min=floor)) @ vectors.T
        return cls(mean, (cov + cov.T) / 2)

    def refit(self, x: Tensor, weights: Tensor, floor: float) -> "FullGaussian":
        return self.fit(x, weights, floor=floor)

    def _log_det(self) -> Tensor:
        return 2 * self.scale.diagonal().log().sum()


@checked
@dataclass(frozen=True)
class Bernoulli:
    """Independent coins: x_i = 1 with probability sigmoid(logits_i).

    Attributes:
        logits: the log-odds.
    """

    logits: Finite[Tensor, "d"]

    @checked
    def log_prob(self, x: Float[Tensor, "n d={len(self.logits)}"]) -> Float[Tensor, "n"]:
        """The log-probability; only 0 and 1 have one, so a grey value is an error."""
        _binary(x)
        return x @ self.logits - F.softplus(self.logits).sum()

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n d"]:
        chance = self.logits.sigmoid().expand(n, -1)
        return bernoulli(chance, generator)

    def entropy(self) -> Float[Tensor, ""]:
        return (F.softplus(self.logits) - self.logits * self.logits.sigmoid()).sum()

    def kl(self, q: "Bernoulli") -> Float[Tensor, ""]:
        """KL(self || q), summed over the dimensions."""
        _same_kind(self, q, "logits")
        expected = self.logits.sigmoid() * (self.logits - q.logits)
        return (expected - F.softplus(self.logits) + F.softplus(q.logits)).sum()

    @classmethod
    @checked
    def fit(
        cls,
        x: Finite[Tensor, "n d"],
        weights: Finite[Tensor, "n"] | None = None,
        *,
        floor: Annotated[float, Range(0, 0.5, open_low=True)] = 1e-3,
    ) -> "Bernoulli":
        """Maximum likelihood, the share of ones, kept between ``floor`` and 1 - ``floor``."""
        w = _shares(x, weights)
        _binary(x)
        chance = (w @ x).clamp(floor, 1 - floor)
        return cls(chance.logit())

    def refit(self, x: Tensor, weights: Tensor, floor: float) -> "Bernoulli":
        return self.fit(x, weights, floor=floor)


@checked
@dataclass(frozen=True)
class Categorical:
    """Independent dice, each of c sides: x_i = j with probability softmax(logits_i)_j.

    Attributes:
        logits: a row for each die; a constant added to a row changes nothing.
    """

    logits: Finite[Tensor, "d c"]

    @checked
    def log_prob(self, x: Int[Tensor, "n d={len(self.logits)}"]) -> Float[Tensor, "n"]:
        check_labels("x", x, self.logits.shape[1])
        return self.logits.log_softmax(1).gather(1, x.T.long()).sum(0)

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Int[Tensor, "n d"]:
        return multinomial(self.logits.softmax(1), n, generator, replacement=True).T

    def entropy(self) -> Float[Tensor, ""]:
        return -(self.logits.softmax(1) * self.logits.log_softmax(1)).sum()

    def kl(self, q: "Categorical") -> Float[Tensor, ""]:
        """KL(self || q), summed over the dimensions."""
        _same_kind(self, q, "logits")
        return (self.logits.softmax(1) * (self.logits.log_softmax(1) - q.logits.log_softmax(1))).sum()

    @classmethod
    @checked
    def fit(cls, x: Int[Tensor, "n d"], classes: Count, *, pseudo_count: NonNegative = 1.0) -> "Categorical":
        """The share of each side, after each has been seen ``pseudo_count`` times in advance; 0 is maximum likelihood.

        Raises:
            ValueError: also where ``pseudo_count`` is 0 and a side was never seen: its logit would be minus infinity.
        """
        check_labels("x", x, classes)
        counts = torch.full((x.shape[1], classes), float(pseudo_count), device=x.device)
        counts.scatter_add_(1, x.T.long(), counts.new_ones(x.shape[1], len(x)))
        if (counts == 0).any():
            raise ValueError("pseudo_count: got 0 with sides never seen in x, wanted a number above 0")
        return cls(counts.log())


def _binary(x: Tensor) -> None:
    if not ((x == 0) | (x == 1)).all():
        raise ValueError("x: got values other than 0 and 1, wanted black and white; binarise first, (x > 0.5).float()")


def _same_kind(p: object, q: object, field: str) -> None:
    if type(p) is not type(q):
        raise ValueError(
            f"kl: got {type(p).__name__} and {type(q).__name__}, wanted two of one kind; use kl_monte_carlo"
        )
    sizes = tuple(getattr(p, field).shape), tuple(getattr(q, field).shape)
    if sizes[0] != sizes[1]:
        raise ValueError(f"kl: got sizes {sizes[0]} and {sizes[1]}, wanted the same")


def _shares(x: Tensor, weights: Tensor | None) -> Tensor:
    """How much each example counts: weights that sum to 1."""
    if weights is None:
        return x.new_full((len(x),), 1 / len(x))
    if (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(
            f"weights: got values from {weights.min():g}, sum {weights.sum():g}, wanted none below 0, some above"
        )
    return weights / weights.sum()
