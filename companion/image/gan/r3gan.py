r"""R3GAN's networks: residual blocks with grouped convolutions, no norm, and a start at which each block does nothing.

Huang, Gokaslan, Kuleshov & Tompkin, "The GAN is dead; long live the GAN! A Modern GAN Baseline", arXiv:2501.05441, section
3 and appendix; their code is github.com/brownvc/R3GAN. With :math:`\phi` a leaky rectifier with its own bias a channel,

.. math:: \mathrm{block}(x) = x + W_3\, \phi(W_2 * \phi(W_1 x))

(eq-gan-block): :math:`W_1` widens by `EXPANSION`, :math:`W_2` is a 3×3 convolution in groups, :math:`W_3` narrows. At the
start :math:`W_3 = 0`, and the others are scaled by :math:`L^{-1/4}` for L blocks (Zhang, Dauphin & Ma, arXiv:1901.09321,
"fix-up"), so that a network without normalisation begins as a chain of resampling. Pictures are doubled and halved by
linear interpolation.

Departures: 8 to 32 pixels; the outermost doubling is a rearrangement of squares of 2×2 pixels into channels, which saves the
largest grid (Shi et al., arXiv:1609.05158); no class. As there, nothing squashes the pictures: they may leave [-1, 1] a
little.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.image.gan.dcgan import COLOURS, LATENT, doublings
from companion.validate import Count, checked

EXPANSION = 2
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))


class BiasedLeaky(nn.Module):
    """A leaky rectifier after a bias for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return F.leaky_relu(x + self.bias[:, None, None], SLOPE)


class Block(nn.Module):
    """Widen, look around in groups, narrow, and add (eq-gan-block).

    Args:
        channels: in and out.
        group: channels in a group of the 3×3 convolution.
        blocks: L, how many blocks the network has.
    """

    @checked
    def __init__(self, channels: Count, group: Count, blocks: Count) -> None:
        super().__init__()
        wide = EXPANSION * channels
        if wide % group:
            raise ValueError(f"group: got {group}, wanted a divisor of {wide}, the widened channels")
        gain = GAIN * blocks**-0.25
        self.widen = convolution(channels, wide, 1, gain)
        self.look = convolution(wide, wide, 3, gain, groups=wide // group)
        self.narrow = convolution(wide, channels, 1, 0.0)
        self.first, self.second = BiasedLeaky(wide), BiasedLeaky(wide)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.narrow(self.second(self.look(self.first(self.widen(x)))))


class Generator(nn.Module):
    """From z to a picture in about [-1, 1].

    Args:
        side: of the picture.
        widths: channels of each grid, from the smallest; one fewer than the side's halvings to a grid of less than 8, or one.
        depth: blocks on each grid.
        group: channels in a group.
    """

    @checked
    def __init__(
        self, side: Count, widths: tuple[Count, ...], depth: Count, group: Count = 16, latent: Count = LATENT
    ) -> None:
        super().__init__()
        grid, blocks = _grid(side, widths), depth * len(widths)
        self.basis = nn.Parameter(torch.randn(widths[0], grid, grid))
        self.weigh = linear(latent, widths[0])
        stages: list[nn.Module] = []
        for before, width in zip((widths[0], *widths), widths, strict=False):
            stages += (
                [] if not stages else [nn.Upsample(scale_factor=2, mode="bilinear"), convolution(before, width, 1)]
            )
            stages += [Block(width, group, blocks) for _ in range(depth)]
        self.stages = nn.Sequential(*stages)
        self.out = convolution(widths[-1], 4 * COLOURS, 1, 1.0)

    @checked
    def forward(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n 3 side side"]:
        x = self.basis * self.weigh(z)[:, :, None, None]
        return F.pixel_shuffle(self.out(self.stages(x)), 2)


class Critic(nn.Module):
    """One score for each picture; arguments as the generator's, ``widths`` from the smallest grid, too."""

    @checked
    def __init__(self, side: Count, widths: tuple[Count, ...], depth: Count, group: Count = 16) -> None:
        super().__init__()
        grid, blocks = _grid(side, widths), depth * len(widths)
        down = widths[::-1]
        stages: list[nn.Module] = [convolution(4 * COLOURS, down[0], 1)]
        for place, width in enumerate(down):
            if place:
                stages += [nn.AvgPool2d(2), convolution(down[place - 1], width, 1)]
            stages += [Block(width, group, blocks) for _ in range(depth)]
        self.stages = nn.Sequential(*stages)
        self.gather = convolution(down[-1], down[-1], grid, groups=down[-1])
        self.score = linear(down[-1], 1)

    @checked
    def forward(self, images: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n 1"]:
        x = self.stages(F.pixel_unshuffle(images, 2))
        return self.score(self.gather(x).flatten(1))


def convolution(inputs: int, outputs: int, kernel: int, gain: float = 1.0, *, groups: int = 1) -> nn.Conv2d:
    """Without bias, weights normal with standard deviation gain / sqrt(inputs that one output sees)."""
    padding = 1 if kernel == 3 else 0  # a kernel as large as the grid leaves one place
    made = nn.Conv2d(inputs, outputs, kernel, padding=padding, groups=groups, bias=False)
    return _started(made, gain)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Without bias, weights normal with standard deviation 1 / sqrt(inputs)."""
    return _started(nn.Linear(inputs, outputs, bias=False), 1.0)


def _started(made, gain: float):
    nn.init.normal_(made.weight, std=gain / math.sqrt(made.weight[0].numel()))
    return made


def _grid(side: int, widths: tuple[int, ...]) -> int:
    count, grid = doublings(side)
    if len(widths) != count:
        raise ValueError(
            f"widths: got {widths}, wanted {count} for a side of {side}: one for each grid but the pixels'"
        )
    return grid
