"""Class-conditional diffusion of handwritten digits: the noise schedule and loss of training, and guided sampling.

The network predicts v (eq-ddpm-v, Salimans & Ho, arXiv:2202.00512) along the cosine schedule of Nichol & Dhariwal,
arXiv:2102.09672; a label of its own, `NO_LABEL`, stands for none. The rooms below hold the parts: `companion.diffusion` the
process and the samplers, `companion.nn.unet` the network. `quick_unet` is the network that a reader trains within a minute: it
sees 2×2 pixels as the channels of one (`Unshuffled`; Shi et al., arXiv:1609.05158, turned around), which is a quarter of the
places to compute at.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.guidance import guided
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import cosine_schedule
from companion.diffusion.prediction import Denoiser, Net, as_denoiser
from companion.nn.unet import UNet, UNetConfig
from companion.training.random import randn
from companion.validate import Count, NonNegative, Range, checked

NO_LABEL = 10
PREDICTION = "v"
SCHEDULE = cosine_schedule(1000)
LOSS = DenoisingLoss(SCHEDULE, PREDICTION, drop=0.1, null=NO_LABEL)
Labels = Annotated[Int[Tensor, "n"], Range(0, NO_LABEL)]


class Unshuffled(nn.Module):
    """A network as one for pictures of twice the height and width: 2×2 pixels become the channels of one, and back."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, x: Float[Tensor, "n channels height width"], t: Tensor, labels: Labels
    ) -> Float[Tensor, "n channels height width"]:
        """The net's prediction; height and width are even."""
        return pixel_shuffle(self.net(pixel_unshuffle(x, 2), t, labels), 2)


def quick_unet() -> Unshuffled:
    """A network for digits with 0.17 million weights that learns to draw them within a minute of one processor core."""
    config = UNetConfig(4, 4, widths=(16, 32), attention=(False, False), classes=NO_LABEL + 1)
    return Unshuffled(UNet(config))


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
