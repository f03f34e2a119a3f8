r"""The Gaussian generative classifier (discriminant analysis): one Gaussian a class, and Bayes' rule.

The joint density (eq-discriminative-joint) is :math:`p(x, y) = \pi_y\, N(x; \mu_y, \Sigma_y)`. Everything else follows from
it: the posterior :math:`p(y \mid x)` by Bayes' rule (eq-discriminative-bayes), the density of the data
:math:`p(x) = \sum_y p(x, y)` (eq-discriminative-evidence), new data by sampling a class and then an image.

The covariances are those of Friedman's regularised discriminant analysis (eq-discriminative-covariance): a mix of the
class's own scatter, the scatter pooled over the classes, and a multiple of the identity. With ``pool=1`` all classes share
one covariance: linear discriminant analysis, whose posterior is exactly a logistic regression (eq-discriminative-logistic).

Source: Friedman, "Regularized Discriminant Analysis", Journal of the American Statistical Association, 1989. Departures:
the identity is scaled by the pooled variance for every class, and the mix does not weigh the classes by their size.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.foundations.distributions.families import LOG_2PI
from companion.training.random import randn
from companion.validate import (
    Count,
    Finite,
    Share,
    check_labels,
    checked,
)


@dataclass(frozen=True)
class GaussianClassifier:
    """A Gaussian for each class.

    Attributes:
        log_prior: the logarithm of each class's share.
        mean: of each class.
        covariance: of each class, or one that the classes share.
    """

    log_prior: Float[Tensor, "classes"]
    mean: Float[Tensor, "classes dims"]
    covariance: Float[Tensor, "parts dims dims"]

    @cached_property
    def cholesky(self) -> Float[Tensor, "parts dims dims"]:
        """The lower triangular L of each covariance, L Lᵀ = Σ."""
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        if failed.any():
            raise ValueError(
                f"covariance: got {int((failed > 0).sum())} singular matrices, wanted positive definite ones; "
                "raise shrinkage, or add examples"
            )
        return factor

    @checked
    def log_joint(self, x: Finite[Tensor, "n dims={self.mean.shape[1]}"]) -> Float[Tensor, "n classes"]:
        """log p(x, y) of each example for every class, in nats."""
        dims = self.mean.shape[1]
        parts = []
        for c, (log_prior, mean) in enumerate(zip(self.log_prior, self.mean, strict=True)):
            factor = self.cholesky[c % len(self.cholesky)]
            white = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)
            log_det = 2 * factor.diagonal().log().sum()
            parts.append(log_prior - 0.5 * (white.square().sum(0) + log_det + dims * LOG_2PI))
        return torch.stack(parts, dim=1)

    def log_prob(self, x: Float[Tensor, "n dims"]) -> Float[Tensor, "n"]:
        """log p(x), the class summed out, in nats."""
        return self.log_joint(x).logsumexp(1)

    def posterior(self, x: Float[Tensor, "n dims"]) -> Float[Tensor, "n classes"]:
        """p(y | x) by Bayes' rule."""
        return self.log_joint(x).softmax(1)

    @checked
    def sample(self, labels: Int[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n dims"]:
        """One new example of each class asked for: mean + L ε with ε standard normal."""
        check_labels("labels", labels, len(self.mean))
        noise = randn((len(labels), self.mean.shape[1]), generator, like=self.mean)
        factors = self.cholesky.expand(len(self.mean), -1, -1)
        rows = [self.mean[c] + factors[c] @ e for c, e in zip(labels.tolist(), noise, strict=True)]
        return torch.stack(rows)

    def linear_posterior(self) -> tuple[Float[Tensor, "classes dims"], Float[Tensor, "classes"]]:
        """Weights W and biases b with p(y | x) = softmax(W x + b), for classes that share one covariance.

        Raises:
            ValueError: each class has its own covariance; then the posterior is quadratic in x.
        """
        if len(self.covariance) != 1:
            raise ValueError(
                f"covariance: got {len(self.covariance)} matrices, wanted 1, shared by all classes (pool=1)"
            )
        weights = torch.cholesky_solve(self.mean.T, self.cholesky[0]).T
        return weights, self.log_prior - 0.5 * (weights * self.mean).sum(1)


@checked
def fit_gaussians(
    x: Finite[Tensor, "n dims"], y: Int[Tensor, "n"], classes: Count, *, pool: Share, shrinkage: Share
) -> GaussianClassifier:
    """Maximum-likelihood means and shares, regularised covariances: no iteration, one pass over the data.

    Args:
        x: the examples.
        y: their classes.
        classes: how many classes there are; each needs an example.
        pool: from 0, each class its own covariance, to 1, all share one.
        shrinkage: from 0, the covariance as counted, to 1, a multiple of the identity.

    Raises:
        ValueError: a class without examples; examples that do not vary at all; numbers outside their ranges.
    """
    check_labels("y", y, classes)
    counts = torch.bincount(y, minlength=classes).to(x.dtype)
    if (counts == 0).any():
        missing = (counts == 0).nonzero().flatten().tolist()
        raise ValueError(f"y: got no example of the classes {missing}, wanted at least one of each of the {classes}")
    mean = torch.stack([x[y == c].mean(0) for c in range(classes)])
    centred = x - mean[y]
    pooled = centred.T @ centred / len(x)
    variance = pooled.diagonal().mean()
    if variance == 0:
        raise ValueError("x: got examples that do not vary within their classes, wanted two different ones of a class")
    if pool == 1:
        mixed = pooled[None]
    else:
        own = torch.stack([centred[y == c].T @ centred[y == c] / counts[c] for c in range(classes)])
        mixed = (1 - pool) * own + pool * pooled
    identity = torch.eye(x.shape[1], dtype=x.dtype)
    covariance = (1 - shrinkage) * mixed + shrinkage * variance * identity
    return GaussianClassifier((counts / len(x)).log(), mean, covariance)
