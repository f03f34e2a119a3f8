r"""A generative model that copies, and one that might not: denoisers, exact and learned.

Noise an image, :math:`z = x + \sigma \varepsilon`, and ask for the image back. The function with the least squared error over
a training set of N images is known in closed form: the average of the training images, weighted by how likely each is to have
become z (eq-memorization-denoiser),

.. math:: D^*(z, \sigma) = \sum_i w_i x_i,\quad w = \mathrm{softmax}_i\bigl(-\lVert z - x_i \rVert^2 / 2 \sigma^2\bigr).

An image is made from noise by following :math:`dz/d\sigma = (z - D(z, \sigma))/\sigma` (eq-memorization-ode) from large
to small σ. With the exact denoiser every such path ends at a training image. `Denoiser` is a small network trained for the same
objective (eq-memorization-objective); what it makes that is new, it makes by missing the optimum.

Sources: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv:2206.00364: the ODE and the
closed form (appendix B.3); Scarvelis, Borde & Solomon, arXiv:2310.12395: the closed form as a model that copies. Departures:
a perceptron that guesses the flat image itself, σ drawn log-uniformly, Euler steps on a geometric grid of σ.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.training.batches import Batch
from companion.validate import Count, Finite, Positive, Range, check_number, checked

Denoise = Callable[[Tensor, Tensor], Tensor]


@checked
def exact_denoiser(
    z: Float[Tensor, "n dims"],
    sigma: Annotated[Float[Tensor, "n 1"], Range(0, open_low=True)],
    train: Float[Tensor, "m dims"],
) -> Float[Tensor, "n dims"]:
    """The mean of the training images given their noised version: the best denoiser for this training set.

    Args:
        z: noised images.
        sigma: the noise's standard deviation for each, above 0.
        train: the training images.
    """
    distance = torch.cdist(z, train, compute_mode="donot_use_mm_for_euclid_dist")
    weights = (-0.5 * (distance / sigma) ** 2).softmax(1)
    return weights @ train


@checked
@dataclass(frozen=True)
class NoiseLevels:
    """From how much noise to how little: σ from ``high`` to ``low`` in ``steps`` equal factors."""

    low: Positive = 0.1
    high: float = 10.0
    steps: Count = 40

    def __post_init__(self) -> None:
        check_number("high", self.high, low=self.low, open_low=True)

    def grid(self) -> Float[Tensor, "levels"]:
        """The steps + 1 values of σ, falling."""
        return torch.logspace(math.log10(self.high), math.log10(self.low), self.steps + 1)


class Denoiser(nn.Module):
    """A perceptron that takes a noised image and σ and returns its guess of the image.

    Args:
        dims: pixels of an image.
        width: units of each of the two hidden layers.
    """

    @checked
    def __init__(self, dims: Count, width: Count) -> None:
        super().__init__()
        self.dims = dims
        self.net = nn.Sequential(
            nn.Linear(dims + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dims)
        )

    @checked
    def forward(self, z: Float[Tensor, "n dims={self.dims}"], sigma: Float[Tensor, "n 1"]) -> Float[Tensor, "n dims"]:
        """A guess of the image, in (-1, 1); z is scaled so that the network sees numbers of one size at every σ."""
        return self.net(torch.cat([z / (1 + sigma**2).sqrt(), sigma.log()], dim=1)).tanh()


def denoising_loss(model: Denoiser, batch: Batch, generator: torch.Generator) -> Tensor:
    """The mean squared error of the guess, per pixel.

    Args:
        batch: one tensor of images, shape (n, dims).
        generator: draws σ, log-uniform over the levels of `NoiseLevels`, and the noise.
    """
    (x,) = batch
    low, high = math.log(NoiseLevels.low), math.log(NoiseLevels.high)
    sigma = (low + (high - low) * torch.rand(len(x), 1, generator=generator, device=generator.device)).exp()
    z = x + sigma * torch.randn(x.shape, generator=generator, device=generator.device)
    return (model(z, sigma) - x).square().mean()


@torch.no_grad()
@checked
def sample(denoise: Denoise, noise: Finite[Tensor, "n dims"], levels: NoiseLevels) -> Float[Tensor, "n dims"]:
    """Turn noise into images: Euler steps along dz/dσ = (z - D(z, σ))/σ, and the last guess.

    Args:
        denoise: ``denoise(z, sigma)``, exact or learned.
        noise: standard normal; equal noise gives equal images.
        levels: the σ to step through.
    """
    grid = levels.grid().to(noise)
    z = grid[0] * noise
    for sigma, following in zip(grid[:-1], grid[1:], strict=True):
        slope = (z - denoise(z, sigma.expand(len(z), 1))) / sigma
        z = z + (following - sigma) * slope
    return denoise(z, grid[-1].expand(len(z), 1))
