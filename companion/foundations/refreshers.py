r"""What the page of refreshers draws and measures: the ellipse of a covariance, a gradient by differences, the parts of an SVD.

- ``eq-refresh-cholesky``: with :math:`\Sigma = L L^T`, points :math:`m + L u` with :math:`|u| = r` are those at Mahalanobis
  distance r. `ellipse`.
- ``eq-refresh-difference``: :math:`\partial f / \partial x_i \approx (f(x + h e_i) - f(x - h e_i)) / 2h`.
  `difference_gradient`.
- ``eq-refresh-svd``: :math:`A = U S V^T`; the best matrix of rank k keeps the k largest singular values (Eckart & Young, "The
  approximation of one matrix by another of lower rank", 1936). `low_rank`.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import Count, Finite, Positive, check_count, checked


@checked
def ellipse(
    mean: Finite[Tensor, "2"], covariance: Finite[Tensor, "2 2"], *, distance: Positive = 1.0, points: Count = 100
) -> Float[Tensor, "points 2"]:
    """Points all around the mean, each at the same Mahalanobis distance from it (``eq-refresh-cholesky``).

    Raises:
        ValueError: the covariance is not symmetric, or not positive in every direction.
    """
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed or not torch.allclose(covariance, covariance.T):
        raise ValueError(f"covariance: got {covariance.tolist()}, wanted a symmetric matrix with positive eigenvalues")
    angle = torch.linspace(0, 2 * math.pi, points, dtype=mean.dtype, device=mean.device)
    return mean + distance * torch.stack([angle.cos(), angle.sin()], 1) @ factor.T


@checked
def difference_gradient(
    f: Callable[[Tensor], Tensor], x: Finite[Tensor, "n"], h: Positive = 1e-5
) -> Float[Tensor, "n"]:
    """The gradient of f at x by a difference on both sides of each coordinate (``eq-refresh-difference``).

    Args:
        f: from a vector to one number; it is called twice for each coordinate.
        x: float64 is advised: a difference of nearly equal numbers loses digits.
        h: how far on each side.
    """
    steps = h * torch.eye(len(x), dtype=x.dtype, device=x.device)
    return torch.stack([f(x + step) - f(x - step) for step in steps]) / (2 * h)


@checked
def low_rank(matrix: Finite[Tensor, "rows columns"], rank: Count) -> Float[Tensor, "rows columns"]:
    """The matrix of this rank that is nearest in squared error (``eq-refresh-svd``)."""
    check_count("rank", rank, high=min(matrix.shape))
    U, S, Vt = torch.linalg.svd(matrix, full_matrices=False)
    return (U[:, :rank] * S[:rank]) @ Vt[:rank]
