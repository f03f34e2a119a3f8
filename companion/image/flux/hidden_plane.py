r"""Data of two dimensions, hidden in a space of many: what a network of moderate width can predict there.

Li & He, "Back to Basics: Let Denoising Generative Models Denoise", 2025, arXiv:2511.13720, section 4: points of a plane are
laid into D dimensions by a matrix P of orthonormal columns,

- :math:`x = P y, \quad P^\top P = I` (eq-hidden-plane)

and a small network learns to denoise x without being told P. The data fill two dimensions, noise fills all: what the network is
asked for, data, noise or velocity, decides how much has to pass through it.
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from companion.training.random import rand, randn
from companion.validate import Count, checked


@checked
def spiral(n: Count, generator: Generator) -> Float[Tensor, "n 2"]:
    """Points along a spiral of one and a half turns, of about unit spread."""
    turn = 3 * math.pi * rand((n,), generator).sqrt()
    points = torch.stack([turn * turn.cos(), turn * turn.sin()], dim=1) / 4.7
    return points + 0.02 * randn((n, 2), generator)


@checked
def plane(width: Count, generator: Generator) -> Float[Tensor, "width 2"]:
    """P: two orthonormal directions of a space, at random (eq-hidden-plane)."""
    return torch.linalg.qr(randn((width, 2), generator))[0]


@checked
def distance_to_spiral(points: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """From each point to the nearest of the spiral's line."""
    turn = torch.linspace(0, 3 * math.pi, 2000)
    line = torch.stack([turn * turn.cos(), turn * turn.sin()], dim=1) / 4.7
    return torch.cdist(points, line).amin(1)


class PointNet(nn.Module):
    """Five layers with ReLU, told the time as one number more.

    Args:
        width: D, of what comes in and goes out.
        hidden: of the layers between.
    """

    def __init__(self, width: Count, hidden: Count) -> None:
        super().__init__()
        sizes = [width + 1, *[hidden] * 4]
        layers = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, width))

    def forward(self, x: Float[Tensor, "n width"], t: Float[Tensor, "n"]) -> Float[Tensor, "n width"]:
        return self.layers(torch.cat([x, t[:, None]], dim=1))
