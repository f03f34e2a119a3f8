"""Class-conditional diffusion of handwritten digits: the noise schedule and loss of training, and guided sampling.

The network predicts v (eq-ddpm-v, Salimans & Ho, arXiv:2202.00512) along the cosine schedule of Nichol & Dhariwal,
arXiv:2102.09672; a label of its own, `NO_LABEL`, stands for none. The rooms below hold the parts: `companion.diffusion` the
process and the samplers, `companion.nn.unet` the network. `SmallUNet` is the least that deserves the name, which a reader
trains within a minute: two sizes, one direct path between them, and no attention. It sees 2×2 pixels as the channels of one
(Shi et al., arXiv:1609.05158, turned around), which is a quarter of the places to compute at.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, silu

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.guidance import guided
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import cosine_schedule
from companion.diffusion.prediction import Denoiser, Net, as_denoiser
from companion.nn.timestep import timestep_embedding
from companion.nn.unet_blocks import ResidualBlock
from companion.training.random import randn
from companion.validate import Count, NonNegative, Range, checked

NO_LABEL = 10
WIDE = 24
PREDICTION = "v"
SCHEDULE = cosine_schedule(1000)
LOSS = DenoisingLoss(SCHEDULE, PREDICTION, drop=0.1, null=NO_LABEL)
Labels = Annotated[Int[Tensor, "n"], Range(0, NO_LABEL)]


class SmallUNet(nn.Module):
    """A U-Net of two sizes with `WIDE` channels at the larger one, for images whose height and width are multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        wide, told = WIDE, 4 * WIDE
        self.step = nn.Sequential(nn.Linear(wide, told), nn.SiLU(), nn.Linear(told, told))
        self.label = nn.Embedding(NO_LABEL + 1, told)
        self.enter = nn.Conv2d(4, wide, 3, padding=1)
        self.large = ResidualBlock(wide, wide, told, groups=8)
        self.shrink = nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1)
        self.small = ResidualBlock(2 * wide, 2 * wide, told, groups=8)
        self.again = ResidualBlock(2 * wide, 2 * wide, told, groups=8)
        self.grow = nn.Upsample(scale_factor=2)
        self.join = ResidualBlock(3 * wide, wide, told, groups=8)
        self.norm = nn.GroupNorm(8, wide)
        self.leave = nn.Conv2d(wide, 4, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "n 1 height width"], t: Tensor, labels: Labels
    ) -> Float[Tensor, "n 1 height width"]:
        """The prediction; 2×2 pixels are the channels of one inside."""
        told = silu(self.step(timestep_embedding(t, WIDE)) + self.label(labels))
        large = self.large(self.enter(pixel_unshuffle(x, 2)), told)
        small = self.again(self.small(self.shrink(large), told), told)
        x = self.join(torch.cat([self.grow(small), large], dim=1), told)
        return pixel_shuffle(self.leave(silu(self.norm(x))), 2)


@checked
def digit_denoiser(net: Net, labels: Labels, scale: float = 1.0, clip: float | None = 1.0) -> Denoiser:
    """A network with labels as a denoiser: guided towards ``labels`` (eq-cfg), the data clipped to the range of pixels."""
    return as_denoiser(guided(net, labels, scale, null=NO_LABEL), SCHEDULE, PREDICTION, clip)


@checked
def draw_digits(
    net: Net, labels: Labels, generator: torch.Generator, *, scale: NonNegative = 1.0, steps: Count = 25
) -> Float[Tensor, "n 1 28 28"]:
    """A digit for each label (`NO_LABEL`: any digit), by guided DDIM of ``steps`` steps without fresh noise."""
    noise = randn((len(labels), 1, 28, 28), generator, device=labels.device)
    return ddim_sample(digit_denoiser(net, labels, scale), SCHEDULE, noise, steps)
