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
from companion.validate import check_count, check_shapes


class PointMLP(nn.Module):
    """A map of vectors, ``inputs`` → ``outputs``, by ``depth`` hidden layers of ``width`` units."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 128, depth: int = 2) -> None:
        super().__init__()
        for name, value in {"inputs": inputs, "outputs": outputs, "width": width, "depth": depth}.items():
            check_count(name, value)
        sizes = [inputs] + [width] * depth
        layers = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))
        self.inputs = inputs

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        check_shapes(x=(x, f"n {self.inputs}"))
        return self.layers(x)


class TimedPointMLP(nn.Module):
    """A map of vectors that also depends on a number in about [0, 1] for each: a time, or a noise level's logarithm."""

    def __init__(self, inputs: int, outputs: int, *, width: int = 128, depth: int = 2, waves: int = 3) -> None:
        super().__init__()
        check_count("waves", waves)
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(waves), persistent=False)
        self.mlp = PointMLP(inputs + 1 + 2 * waves, outputs, width=width, depth=depth)

    def forward(self, x: Float[Tensor, "n inputs"], t: Float[Tensor, "n"]) -> Float[Tensor, "n outputs"]:
        check_shapes(x=(x, "n inputs"), t=(t, "n"))
        return self.mlp(torch.cat([x, t[:, None], *sin_cos(t, self.frequencies)], 1))
