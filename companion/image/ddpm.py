"""Digits from a diffusion model that is told the digit: the process that it is trained with, and how it draws.

The network predicts v (eq-ddpm-v, Salimans & Ho, arXiv:2202.00512) along the cosine schedule of Nichol & Dhariwal,
arXiv:2102.09672; a label of its own, `NO_LABEL`, stands for none. The rooms below hold the parts: `companion.diffusion` the
process and the samplers, `companion.nn.unet` the network.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.ddpm import cosine_schedule
from companion.diffusion.guidance import guided
from companion.diffusion.parameterisation import LabelledNet, as_denoiser

NO_LABEL = 10
PREDICTION = "v"
SCHEDULE = cosine_schedule(1000)


def draw_digits(
    net: LabelledNet, labels: Int[Tensor, "n"], generator: torch.Generator, *, scale: float = 1.0, steps: int = 25
) -> Float[Tensor, "n 1 28 28"]:
    """A digit for each label (`NO_LABEL`: any digit), by guided DDIM of ``steps`` steps without fresh noise."""
    noise = torch.randn(len(labels), 1, 28, 28, generator=generator)
    denoiser = as_denoiser(guided(net, labels, scale, no_label=NO_LABEL), SCHEDULE, PREDICTION)
    return ddim_sample(denoiser, SCHEDULE, noise, steps, clip=1.0)
