"""Probabilistic PCA: a latent variable model whose likelihood, posterior and best parameters have closed forms.

Source: Tipping & Bishop, "Probabilistic Principal Component Analysis", JRSS B 61(3), 1999; the linear VAE's optimum:
Lucas, Tucker, Grosse & Norouzi, arXiv:1911.02469. Taught in the lesson ``latent_space``:

- ``eq-ppca-model``: z ~ N(0, I), x | z ~ N(W z + mean, sigma2 I).
- ``eq-ppca-marginal``: x ~ N(mean, C), C = W W^T + sigma2 I. `PPCA.log_prob`.
- ``eq-ppca-solution``: sigma2 = mean of the discarded eigenvalues, W = U (Lambda - sigma2 I)^(1/2). `fit_ppca`.
- ``eq-ppca-likelihood``: the mean log-likelihood at that solution, from the eigenvalues alone. `best_log_likelihood`.
- ``eq-ppca-posterior``: z | x ~ N(M^-1 W^T (x - mean), sigma2 M^-1), M = W^T W + sigma2 I. `PPCA.posterior`.
- ``eq-water-filling``: with a given sigma2 the best latent j has the mean KL log(lambda_j / sigma2) / 2, or 0 if
  lambda_j <= sigma2. `latent_nats`.

Departure from the paper: of all rotations of W, which are equally good, `fit_ppca` returns the one with W^T W diagonal.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.foundations.distributions.families import LOG_2PI
from companion.foundations.pca import fit_pca
from companion.training.random import randn
from companion.validate import Count, Finite, Positive, check_count, checked


@checked
@dataclass(frozen=True)
class PPCA:
    """x = W z + mean + noise, with z ~ N(0, I) and noise ~ N(0, sigma2 I) (``eq-ppca-model``).

    Attributes:
        W: a column for each latent.
        mean: of x.
        sigma2: the noise's variance in each direction, above 0.
    """

    W: Finite[Tensor, "data latent"]
    mean: Finite[Tensor, "data"]
    sigma2: Positive

    @property
    def covariance(self) -> Float[Tensor, "data data"]:
        """C = W W^T + sigma2 I."""
        return self.W @ self.W.T + self.sigma2 * torch.eye(len(self.mean), dtype=self.W.dtype, device=self.W.device)

    @checked
    def log_prob(self, x: Finite[Tensor, "n data={len(self.mean)}"]) -> Float[Tensor, "n"]:
        """log p(x), exactly, in nats (``eq-ppca-marginal``)."""
        factor = torch.linalg.cholesky(self.covariance)
        white = torch.linalg.solve_triangular(factor, (x - self.mean).T, upper=False)
        log_det = 2 * factor.diagonal().log().sum()
        return -0.5 * (len(self.mean) * LOG_2PI + log_det + (white**2).sum(0))

    @checked
    def posterior(
        self, x: Finite[Tensor, "n data={len(self.mean)}"]
    ) -> tuple[Float[Tensor, "n latent"], Float[Tensor, "latent latent"]]:
        """The mean of z for each x, and the covariance of z, which is the same for every x (``eq-ppca-posterior``)."""
        identity = torch.eye(self.W.shape[1], dtype=self.W.dtype, device=self.W.device)
        M_inverse = torch.linalg.inv(self.W.T @ self.W + self.sigma2 * identity)
        return (x - self.mean) @ self.W @ M_inverse, self.sigma2 * M_inverse

    @checked
    def elbo(
        self,
        x: Finite[Tensor, "n data={len(self.mean)}"],
        mean: Float[Tensor, "n latent={self.W.shape[1]}"],
        covariance: Float[Tensor, "latent={self.W.shape[1]} latent={self.W.shape[1]}"],
    ) -> Float[Tensor, "n"]:
        """The evidence lower bound with q(z | x) = N(mean, covariance), its expectation taken exactly.

        It equals ``log_prob(x)`` - KL(q || posterior), so no choice of q lifts it above the likelihood.
        """
        data, latent = self.W.shape
        error = ((x - self.mean - mean @ self.W.T) ** 2).sum(1) + (self.W @ covariance * self.W).sum()
        reconstruction = -0.5 * (data * (LOG_2PI + math.log(self.sigma2)) + error / self.sigma2)
        kl = 0.5 * ((mean**2).sum(1) + covariance.trace() - latent - torch.logdet(covariance))
        return reconstruction - kl

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n data"]:
        """n draws of x: noise included."""
        data, latent = self.W.shape
        draw = randn((n, latent + data), generator, like=self.W)
        return draw[:, :latent] @ self.W.T + self.mean + math.sqrt(self.sigma2) * draw[:, latent:]


@checked
def fit_ppca(x: Finite[Tensor, "n data"], latent: int, *, sigma2: Positive | None = None) -> PPCA:
    """The maximum-likelihood model with ``latent`` dimensions (``eq-ppca-solution``).

    Args:
        x: the examples; float64 is advised.
        latent: at least 1, less than ``data``, and at most n.
        sigma2: the noise's variance if it is given and not to be learned; directions with less variance get no latent.

    Raises:
        ValueError: bad x or latent; or the data have no variance left for the noise to explain.
    """
    pca = fit_pca(x)
    check_count("latent", latent, high=min(len(pca.mean) - 1, len(pca.eigenvalues)))
    if sigma2 is None:
        sigma2 = float(pca.eigenvalues[latent:].sum() / (len(pca.mean) - latent))
        if sigma2 <= 0:
            raise ValueError(
                f"x: got no variance outside {latent} dimensions, wanted some: use a smaller latent or give sigma2"
            )
    lengths = (pca.eigenvalues[:latent] - sigma2).clamp(min=0).sqrt()
    return PPCA(pca.axes[:, :latent] * lengths, pca.mean, sigma2)


@checked
def best_log_likelihood(eigenvalues: Finite[Tensor, "data"], latent: int) -> float:
    """The highest mean log-likelihood with ``latent`` dimensions, from the eigenvalues (``eq-ppca-likelihood``)."""
    data = len(eigenvalues)
    check_count("latent", latent, high=data - 1)
    ordered = eigenvalues.sort(descending=True).values
    sigma2 = ordered[latent:].mean()
    if not (ordered[:latent] > 0).all() or sigma2 <= 0:
        raise ValueError("eigenvalues: got variances that are not positive, wanted positive ones")
    log_det = ordered[:latent].log().sum() + (data - latent) * sigma2.log()
    return float(-0.5 * (data * LOG_2PI + log_det + data))


@checked
def latent_nats(eigenvalues: Finite[Tensor, "latent"], sigma2: Positive) -> Float[Tensor, "latent"]:
    """The mean KL of each latent of the best linear VAE with noise sigma2, in nats (``eq-water-filling``)."""
    return 0.5 * (eigenvalues.clamp(min=sigma2) / sigma2).log()
