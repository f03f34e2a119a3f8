r"""Memorisation by a diffusion model: the exact denoiser of a training set, which copies, and a learned one.

Noise an image, :math:`z = x + \sigma \varepsilon`, and ask for the image back. The function with the least squared error over
a training set of N images is known in closed form: the average of the training images, weighted by how likely each is to have
become z (eq-memorization-denoiser),

.. math:: D^*(z, \sigma) = \sum_i w_i x_i,\quad w = \mathrm{softmax}_i\bigl(-\lVert z - x_i \rVert^2 / 2 \sigma^2\bigr).

An image is made from noise by following :math:`dz/d\sigma = (z - D(z, \sigma))/\sigma` (eq-memorization-ode) from large
to small σ. With the exact denoiser every such path ends at a training image. `ImageMLP` is a small network trained for the same
objective (eq-memorization-objective); what it makes that is new, it makes by missing the optimum.

Sources: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv:2206.00364: the ODE and the
closed form (appendix B.3); Scarvelis, Borde & Solomon, arXiv:2310.12395: the closed form as a model that copies. Departures:
a perceptron that predicts the flat image itself, σ drawn log-uniformly, Euler steps on a geometric grid of σ.
"""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import VarianceExploding
from companion.diffusion.prediction import Net, as_denoiser
from companion.diffusion.times import LogUniform, geometric_sigmas
from companion.validate import Count, Finite, Range, checked

PATH = VarianceExploding(low=0.1, high=10.0)
# The mean squared error of the predicted image, per pixel (eq-memorization-objective).
denoising_loss = DenoisingLoss(PATH, "x0", times=LogUniform(PATH.low, PATH.high))


@checked
def exact_denoiser(
    z: Float[Tensor, "n dims"],
    sigma: Annotated[Float[Tensor, "n"], Range(0, open_low=True)],
    train: Float[Tensor, "m dims"],
) -> Float[Tensor, "n dims"]:
    """The mean of the training images given their noised version: the best denoiser for this training set.

    Args:
        z: noised images.
        sigma: the noise's standard deviation for each, above 0.
        train: the training images.
    """
    distance = torch.cdist(z, train, compute_mode="donot_use_mm_for_euclid_dist")
    weights = (-0.5 * (distance / sigma[:, None]) ** 2).softmax(1)
    return weights @ train


class ImageMLP(nn.Module):
    """A perceptron that takes a noised image and σ and predicts the image.

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
    def forward(self, z: Float[Tensor, "n dims={self.dims}"], sigma: Float[Tensor, "n"]) -> Float[Tensor, "n dims"]:
        """The image, in (-1, 1); z is scaled so that the network sees numbers of one size at every σ."""
        sigma = sigma[:, None]
        return self.net(torch.cat([z / (1 + sigma**2).sqrt(), sigma.log()], dim=1)).tanh()


@checked
def sample(net: Net, noise: Finite[Tensor, "n dims"], steps: Count = 40) -> Float[Tensor, "n dims"]:
    """Turn noise into images: Euler steps along dz/dσ = (z - D(z, σ))/σ, and the last prediction (eq-memorization-ode).

    Args:
        net: ``net(z, sigma)``, exact or learned.
        noise: standard normal; equal noise gives equal images.
        steps: equal factors from the highest to the lowest σ.
    """
    sigmas = geometric_sigmas(PATH.high, PATH.low, steps + 1).tolist()
    return ddim_sample(as_denoiser(net, PATH, "x0"), PATH, sigmas[0] * noise, [*sigmas, PATH.data])
