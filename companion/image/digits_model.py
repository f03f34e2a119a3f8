"""The course's diffusion model of digits: a U-Net of 0.7 million parameters that predicts v, told the digit.

The recipe `companion.recipes.ddpm_digits` trains it; its weights ship with the package as "ddpm_digits".
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.foundations.diffusion import cosine_schedule
from companion.image.ddim import ddim_sample
from companion.image.ddpm import as_denoiser
from companion.image.guidance import guided
from companion.nn.unet import UNet, UNetConfig
from companion.weights import load_weights

NO_LABEL = 10
PREDICTION = "v"
SCHEDULE = cosine_schedule(1000)
CONFIG = UNetConfig(widths=(16, 32, 64), attention=(False, False, True), layers=1, classes=NO_LABEL + 1)


def untrained() -> UNet:
    return UNet(CONFIG)


def load() -> UNet:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("ddpm_digits", untrained())


def draw_digits(
    net: UNet, labels: Int[Tensor, "n"], generator: torch.Generator, *, scale: float = 1.0, steps: int = 25
) -> Float[Tensor, "n 1 28 28"]:
    """A digit for each label (`NO_LABEL`: any digit), by guided DDIM of ``steps`` steps without fresh noise."""
    noise = torch.randn(len(labels), 1, 28, 28, generator=generator)
    denoiser = as_denoiser(guided(net, labels, scale, no_label=NO_LABEL), SCHEDULE, PREDICTION)
    return ddim_sample(denoiser, SCHEDULE, noise, steps, clip=1.0)
