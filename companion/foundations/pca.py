r"""Principal component analysis: the orthogonal directions along which a data set varies most.

With the singular values :math:`s_j` of the centred data, n examples in rows, the variance along the j-th axis is
:math:`\lambda_j = s_j^2 / n`, an eigenvalue of the covariance :math:`\frac1n \sum_i (x_i - \bar x)(x_i - \bar x)^T`. The
singular value decomposition never forms that matrix, so thousands of pixels and few examples are no obstacle.

Sources: Pearson, "On lines and planes of closest fit to systems of points in space", 1901; Hotelling, 1933.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import Finite, check_count, checked


@dataclass(frozen=True)
class PCA:
    """A data set's principal axes: as many as there are dimensions, or examples if they are fewer.

    Attributes:
        mean: of the examples.
        eigenvalues: the variances along the axes (divided by n), largest first; 0 along all others.
        axes: orthonormal columns in the same order.
    """

    mean: Float[Tensor, "data"]
    eigenvalues: Float[Tensor, "axes"]
    axes: Float[Tensor, "data axes"]

    @checked
    def encode(self, x: Float[Tensor, "n data={len(self.mean)}"], latent: int) -> Float[Tensor, "n latent"]:
        """Coordinates of x along the first ``latent`` axes."""
        check_count("latent", latent, high=len(self.eigenvalues))
        return (x - self.mean) @ self.axes[:, :latent]

    @checked
    def decode(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n data"]:
        """The point with these coordinates, on the plane of the first ``latent`` axes."""
        latent = z.shape[1]
        check_count("latent", latent, high=len(self.eigenvalues))
        return z @ self.axes[:, :latent].T + self.mean


@checked
def fit_pca(x: Finite[Tensor, "n data"]) -> PCA:
    """The principal axes of examples in rows; of one example alone, an axis without variance.

    Raises:
        ValueError: no example, or values that are not finite.
    """
    mean = x.mean(0)
    _, spread, directions = torch.linalg.svd((x - mean) / len(x) ** 0.5, full_matrices=False)
    return PCA(mean, spread.square(), directions.T.contiguous())
