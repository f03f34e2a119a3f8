r"""Factor analysis: a Gaussian with a few directions of its own and noise in each dimension, and its EM step.

An example is made of few causes, x = mu + W z + e with z ~ N(0, I) of q numbers and e ~ N(0, diag(psi)), so
$p(x) = N(x; \mu, W W^T + \mathrm{diag}(\psi))$ (``eq-dist-factors``). For 784 pixels and 10 causes that is 9,408
numbers instead of a covariance's 307,720. No (d, d) matrix is ever made: with $M = I + W^T \Psi^{-1} W$ of q by q,
$\log\det\Sigma = \log\det M + \sum_i \log\psi_i$ and, for $r = x - \mu$ and $b = W^T \Psi^{-1} r$,
$r^T \Sigma^{-1} r = r^T \Psi^{-1} r - b^T M^{-1} b$.

Source: Rubin & Thayer, "EM algorithms for ML factor analysis", 1982; for mixtures Ghahramani & Hinton,
CRG-TR-96-1, 1996. Departing from them, psi has a lower bound, and the first guess comes from the principal components.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from companion.foundations.distributions.families import LOG_2PI
from companion.foundations.pca import fit_pca
from companion.training.random import randn
from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    check_count,
    checked,
)


@checked
@dataclass(frozen=True)
class FactorAnalyser:
    """N(mean, factors factors^T + diag(var)).

    Attributes:
        mean: of x.
        factors: W, one column for each cause.
        var: psi, the noise's variances.
    """

    mean: Finite[Tensor, "d"]
    factors: Finite[Tensor, "d q"]
    var: Annotated[Float[Tensor, "d"], Range(0, open_low=True)]

    @cached_property
    def _scale(self) -> Float[Tensor, "q q"]:
        """The Cholesky factor of M = I + W^T Psi^-1 W."""
        m = self.factors.T @ (self.factors / self.var[:, None])
        return torch.linalg.cholesky(m + torch.eye(len(m), dtype=m.dtype, device=m.device))

    def _log_det(self) -> Tensor:
        return 2 * self._scale.diagonal().log().sum() + self.var.log().sum()

    @checked
    def log_prob(self, x: Finite[Tensor, "n d={len(self.mean)}"]) -> Float[Tensor, "n"]:
        r = x - self.mean
        b = (r / self.var) @ self.factors
        explained = torch.linalg.solve_triangular(self._scale, b.T, upper=False)
        distance = (r**2 / self.var).sum(1) - (explained**2).sum(0)
        return -0.5 * (distance + self._log_det() + len(self.mean) * LOG_2PI)

    @checked
    def sample(self, n: Count, generator: torch.Generator, *, noise: bool = True) -> Float[Tensor, "n d"]:
        """Draw causes and, unless ``noise`` is False, the noise of each dimension."""
        z = randn((n, self.factors.shape[1]), generator, like=self.mean)
        e = randn((n, len(self.mean)), generator, like=self.mean)
        return self.mean + z @ self.factors.T + (self.var.sqrt() * e if noise else 0)

    def entropy(self) -> Float[Tensor, ""]:
        return 0.5 * (self._log_det() + len(self.mean) * (LOG_2PI + 1))

    @classmethod
    @checked
    def start(cls, x: Finite[Tensor, "n d"], rank: int, *, floor: Positive = 1e-6) -> "FactorAnalyser":
        """A first guess: the first ``rank`` principal components, the rest of each dimension's variance as noise."""
        check_count("rank", rank, high=x.shape[1])
        pca = fit_pca(x)
        q = min(rank, len(pca.eigenvalues))
        factors = x.new_zeros(x.shape[1], rank)
        factors[:, :q] = pca.axes[:, :q] * pca.eigenvalues[:q].sqrt()
        rest = x.var(0, correction=0) - (factors**2).sum(1)
        return cls(pca.mean, factors, rest.clamp(min=floor))

    @checked
    def refit(
        self, x: Float[Tensor, "n d={len(self.mean)}"], weights: Float[Tensor, "n"], floor: Positive
    ) -> "FactorAnalyser":
        """One step of EM: never lowers the weighted log-likelihood as long as var >= floor."""
        if (weights < 0).any() or weights.sum() <= 0:
            raise ValueError(f"weights: got a sum of {weights.sum():g}, wanted none below 0, some above")
        # In high dimensions most responsibilities underflow to exactly 0; those rows count for nothing.
        near = weights > 0
        w, r = weights[near] / weights.sum(), x[near] - self.mean
        # E: what the causes of each example were: Gaussian with mean z and covariance M^-1.
        z = torch.cholesky_solve(((r / self.var) @ self.factors).T, self._scale).T
        z1 = torch.cat([z, z.new_ones(len(z), 1)], 1)
        zz = z1.T @ (w[:, None] * z1)
        zz[:-1, :-1] += torch.cholesky_inverse(self._scale)
        # M: the linear regression of r on (z, 1), then the variance that it leaves.
        rz = r.T @ (w[:, None] * z1)
        line = torch.linalg.solve(zz, rz.T).T
        var = w @ r**2 - (line * rz).sum(1)
        return FactorAnalyser(self.mean + line[:, -1], line[:, :-1], var.clamp(min=floor))
