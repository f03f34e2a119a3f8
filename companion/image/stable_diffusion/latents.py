r"""Latents: the pictures of a trained autoencoder in the units in which a diffusion model works.

Rombach et al., 2021, arXiv:2112.10752, appendix G: an autoencoder's grid may spread by any number, while a path to noise is
made for data that spread by 1. So

- :math:`z = \gamma\, (\mu(x) - b), \quad x = D(z / \gamma + b)` (eq-sd-latents)

with γ and b measured once, on training pictures (`measured_scale`); of Stable Diffusion's own autoencoder γ is 0.18215, and
that number belongs to no other. The posterior's mean is used, without its noise.

Small pictures come in squares: the s × s pixels of a square are the channels of one place, so that the convolutions work on
a smaller picture (`torch.nn.functional.pixel_unshuffle`). At 32×32 pixels this halves what an autoencoder costs.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from companion.image.stable_diffusion.autoencoder import Posterior
from companion.training.random import Device
from companion.validate import Count, Finite, Positive, checked

_AT_ONCE = 128


@runtime_checkable
class Autoencoder(Protocol):
    """What latents are made by: `AutoencoderKL`, or `companion.image.stable_diffusion.linear_autoencoder.LinearAutoencoder`."""

    def encode(self, x: Tensor) -> Posterior: ...

    def decode(self, z: Tensor) -> Tensor: ...

    def to(self, device: Device) -> "Autoencoder": ...


@checked
@dataclass(frozen=True)
class Latents:
    """Pictures to latents and back (eq-sd-latents), a hundred at a time, without gradients.

    Attributes:
        autoencoder: trained, in evaluation mode.
        scale: γ.
        shift: b.
        square: how many pixels high and wide the squares are that become channels; 1 for none.
    """

    autoencoder: Autoencoder
    scale: Positive = 1.0
    shift: float = 0.0
    square: Count = 1

    def to(self, device: Device) -> "Latents":
        """The same on another device."""
        return replace(self, autoencoder=self.autoencoder.to(device))

    @torch.no_grad()
    @checked
    def encode(self, pictures: Finite[Tensor, "n channels height width"]) -> Float[Tensor, "n latent rows columns"]:
        """Latents of pictures in [-1, 1]."""
        means = [self.autoencoder.encode(squares(part, self.square)).mean for part in pictures.split(_AT_ONCE)]
        return self.scale * (torch.cat(means) - self.shift)

    @torch.no_grad()
    @checked
    def decode(self, latents: Finite[Tensor, "n latent rows columns"]) -> Float[Tensor, "n channels height width"]:
        """Pictures of latents, clipped to [-1, 1]."""
        parts = [self.autoencoder.decode(part / self.scale + self.shift) for part in latents.split(_AT_ONCE)]
        return F.pixel_shuffle(torch.cat(parts), self.square).clamp(-1, 1)


@checked
def squares(pictures: Float[Tensor, "n channels height width"], side: Count) -> Float[Tensor, "n more rows columns"]:
    """The pixels of each square as the channels of one place.

    Raises:
        ValueError: squares that do not fill the picture.
    """
    if any(length % side for length in pictures.shape[2:]):
        raise ValueError(
            f"pictures: got sides {tuple(pictures.shape[2:])}, wanted multiples of {side}, the squares' side"
        )
    return F.pixel_unshuffle(pictures, side)


@checked
def measured_scale(means: Finite[Tensor, "n latent rows columns"]) -> tuple[float, float]:
    """Scale and shift that give these latents, as the autoencoder made them, mean 0 and spread 1.

    Raises:
        ValueError: latents that do not spread.
    """
    if not means.numel() > 1 or means.min() == means.max():
        raise ValueError(f"means: got {means.numel()} numbers that do not spread, wanted latents of several pictures")
    return 1 / float(means.double().std()), float(means.double().mean())
