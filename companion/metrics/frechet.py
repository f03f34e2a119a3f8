r"""The Fréchet distance between two samples: fit a Gaussian to each, and measure how far one Gaussian is from the other.

With :math:`\mu_a, \Sigma_a` and :math:`\mu_b, \Sigma_b` the means and covariances of the two sets of features (eq-frechet):

.. math:: d^2 = |\mu_a - \mu_b|^2 + \mathrm{tr}\big(\Sigma_a + \Sigma_b - 2 (\Sigma_a \Sigma_b)^{1/2}\big)

It is the squared 2-Wasserstein distance of the two Gaussians: the least mean squared way to move one onto the other.

Sources: Dowson & Landau, 1982, for Gaussians; Heusel et al., arXiv:1706.08500, who fit them to the features of an Inception
network and call the result the Fréchet Inception Distance. A distance in the features of another network is not an FID and
cannot be compared with one; in this course it is called CNN-FID, after the digit judge that gives the features.

Two finite samples of one law are not at distance 0: every entry of :math:`\Sigma` carries noise, and the distance is biased
upwards, the more, the smaller the samples. `frechet_floor` measures this; a distance is quoted beside it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import Count, Finite, check_count, check_shapes, checked


@dataclass(frozen=True)
class FeatureGaussian:
    """The Gaussian fitted to a sample of features: what the distance keeps of it.

    Attributes:
        mean: of the sample.
        covariance: symmetric.
    """

    mean: Float[Tensor, "d"]
    covariance: Float[Tensor, "d d"]

    @classmethod
    @checked
    def fit(cls, features: Finite[Tensor, "n d"]) -> "FeatureGaussian":
        """The sample's mean and its unbiased covariance (divided by n - 1), in double precision."""
        if len(features) < 2:
            raise ValueError("features: got 1 example, wanted at least 2: one point has no covariance")
        values = features.detach().cpu().double()
        mean = values.mean(0)
        centred = values - mean
        return cls(mean, centred.T @ centred / (len(values) - 1))

    def distance(self, other: "FeatureGaussian") -> float:
        """The squared 2-Wasserstein distance to another Gaussian (eq-frechet)."""
        check_shapes(mean=(self.mean, "d"), other=(other.mean, "d"))
        root = _square_root(self.covariance)
        # tr (A B)^(1/2) = tr (A^(1/2) B A^(1/2))^(1/2), and that matrix is symmetric: no complex root can appear.
        values = torch.linalg.eigvalsh(_symmetric(root @ other.covariance @ root))
        shared = values.clamp(min=0).sqrt().sum()
        apart = (self.mean - other.mean).square().sum()
        return max(0.0, float(apart + self.covariance.trace() + other.covariance.trace() - 2 * shared))


@checked
def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """The Fréchet distance of two sets of features, from 0 (equal means and covariances) upwards.

    Args:
        a: one row an example.
        b: the other set, with as many features.

    Raises:
        ValueError: other shapes, fewer than two examples, values that are not finite.
    """
    return FeatureGaussian.fit(a).distance(FeatureGaussian.fit(b))


@checked
def frechet_floor(
    held_out: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], n: int, generator: torch.Generator,
    *, draws: Count = 10,
) -> float:  # fmt: skip
    """What a perfect model would score: the mean distance between n real examples and the reference.

    Args:
        held_out: features of real examples that are not in the reference.
        reference: the features of real examples that samples are compared with.
        n: as many examples as there are samples to be judged; from 2 to all that are held out.
        generator: chooses them, without replacement.
        draws: over how many choices to take the mean.
    """
    check_count("n", n, low=2, high=len(held_out))
    law, total = FeatureGaussian.fit(reference), 0.0
    for _ in range(draws):
        chosen = torch.randperm(len(held_out), generator=generator)[:n]
        total += FeatureGaussian.fit(held_out[chosen]).distance(law)
    return total / draws


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(_symmetric(matrix))
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
