r"""The smallest adversarial game: the data are the point 0, the generator is a point, the critic a line.

Mescheder, Geiger & Nowozin, "Which Training Methods for GANs do actually Converge?", arXiv:1801.04406, section 2
(Dirac-GAN). The generator puts everything at :math:`\theta`, the critic is :math:`D(x) = \psi x`. With :math:`\sigma` the
logistic function and a penalty of weight :math:`\gamma` (R1 or R2, as a line has one slope; with both, their sum) the
players descend

.. math::
   \partial L_D / \partial \psi = \sigma(\psi\theta)\,\theta + \gamma\psi, \qquad
   \partial L_G / \partial \theta = -\sigma(-\psi\theta)\,\psi

(eq-gan-dirac). Around the solution :math:`\theta = \psi = 0` a round of rate h is linear in :math:`(\theta, \psi)`, with
determinant and trace

- :math:`d = 1 - h\gamma + h^2/4,\ t = 2 - h\gamma` if both step at once,
- :math:`d = 1 - h\gamma,\ t = 2 - h\gamma - h^2/4` if the critic steps first and the generator sees it (eq-gan-dirac-round),

and :math:`\lambda = t/2 \pm \sqrt{t^2/4 - d}` (eq-gan-dirac-eigenvalues).

The relativistic pair gives the same two derivatives, since D(0) = 0.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from companion.validate import Count, NonNegative, Positive, checked


@checked
def orbit(
    start: tuple[float, float], rounds: Count, rate: Positive, gamma: NonNegative = 0.0, *, alternating: bool = True
) -> Float[Tensor, "rounds1 2"]:
    r"""The game itself: theta and psi at the start and after each round, in double precision (eq-gan-dirac)."""
    theta, psi = (torch.tensor(value, dtype=torch.float64) for value in start)
    path = [torch.stack([theta, psi])]
    for _ in range(rounds):
        new = psi - rate * (torch.sigmoid(psi * theta) * theta + gamma * psi)
        seen = new if alternating else psi
        theta = theta + rate * torch.sigmoid(-seen * theta) * seen
        psi = new
        path.append(torch.stack([theta, psi]))
    return torch.stack(path)


@checked
def round_matrix(rate: Positive, gamma: NonNegative = 0.0, *, alternating: bool = True) -> Float[Tensor, "2 2"]:
    """A round near the solution, as a matrix that acts on (theta, psi)."""
    critic = torch.tensor([[1, 0], [-rate / 2, 1 - rate * gamma]], dtype=torch.float64)
    generator = torch.tensor([[0, rate / 2], [0, 0]], dtype=torch.float64)
    return critic + generator @ (critic if alternating else torch.eye(2, dtype=torch.float64))


@checked
def eigenvalues(rate: Positive, gamma: NonNegative = 0.0, *, alternating: bool = True) -> Complex[Tensor, "2"]:
    """Of a round near the solution (eq-gan-dirac-eigenvalues), the one with the larger imaginary or real part first."""
    square = rate**2 / 4
    determinant = 1 - rate * gamma + (0 if alternating else square)
    half = torch.tensor(2 - rate * gamma - (square if alternating else 0), dtype=torch.complex128) / 2
    root = (half**2 - determinant).sqrt()
    return torch.stack([half + root, half - root])
