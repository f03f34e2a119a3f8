"""The one small network of the 2-D lessons, so that losses can be compared and not networks.

A multilayer perceptron with leaky ReLUs between its layers: their kinks let a generator cut one blob of noise into eight.
A model that works at many noise levels or times takes a second argument, one number a point, that enters as a few sines and
cosines beside the coordinates.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.nn.positions import sin_cos
from companion.validate import Count, checked


class PointMLP(nn.Module):
    """A map of vectors, ``inputs`` → ``outputs``, by ``depth`` hidden layers of ``width`` units."""

    @checked
    def __init__(self, inputs: Count, outputs: Count, *, width: Count = 128, depth: Count = 2) -> None:
        super().__init__()
        sizes = [inputs] + [width] * depth
        layers = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))
        self.inputs = inputs

    @checked
    def forward(self, x: Float[Tensor, "n {self.inputs}"]) -> Float[Tensor, "n outputs"]:
        return self.layers(x)


class TimedPointMLP(nn.Module):
    """A map of vectors that also depends on a number in about [0, 1] for each: a time, or a noise level's logarithm."""

    @checked
    def __init__(
        self, inputs: Count, outputs: Count, *, width: Count = 128, depth: Count = 2, waves: Count = 3
    ) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(waves), persistent=False)
        self.mlp = PointMLP(inputs + 1 + 2 * waves, outputs, width=width, depth=depth)

    @checked
    def forward(self, x: Float[Tensor, "n inputs"], t: Float[Tensor, "n"]) -> Float[Tensor, "n outputs"]:
        return self.mlp(torch.cat([x, t[:, None], *sin_cos(t, self.frequencies)], 1))
