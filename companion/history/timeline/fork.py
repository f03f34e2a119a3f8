"""Points with two answers for one question, and a network that draws an answer: squared error or a judge may train it.

Goodfellow et al., "Generative adversarial networks", arXiv:1406.2661. The question x is standard normal; the answer lies, by
the toss of a coin, near the upper or the lower branch (eq-timeline-fork): y = ± r(x) + 0.1 e with r(x) = 1.2 + 0.6 tanh x.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.point_mlp import PointMLP
from companion.training.random import randint, randn
from companion.validate import Count, Finite, checked

SD = 0.1


def branch(x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """The upper branch, r(x)."""
    return 1.2 + 0.6 * torch.tanh(x)


@checked
def fork(n: Count, generator: torch.Generator) -> tuple[Float[Tensor, "n 2"]]:
    """Points (x, y)."""
    x, side = randn((n,), generator), 2 * randint(2, (n,), generator) - 1
    return (torch.stack([x, side * branch(x) + SD * randn((n,), generator)], 1),)


@checked
def on_a_branch(points: Finite[Tensor, "n 2"]) -> float:
    """The share of the points within three standard deviations of one of the branches; 0.997 for the law itself."""
    x, y = points.T
    return float(((y.abs() - branch(x)).abs() <= 3 * SD).cpu().double().mean())


class Answer(nn.Module):
    """(x, noise) ↦ (x, y): the question is handed through, the answer drawn by a small network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = PointMLP(2, 1, width=64)

    def forward(self, z: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Points (x, y) from z = (x, noise)."""
        return torch.cat([z[:, :1], self.net(z)], 1)


def squared_error(model: nn.Module, batch: tuple[Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean squared distance of the drawn answers from the true ones, for the same questions."""
    (points,) = batch
    z = torch.stack([points[:, 0], randn((len(points),), generator, points)], 1)
    return F.mse_loss(model(z)[:, 1], points[:, 1])
