"""A compression network for films: fewer numbers in a small latent space-time, from which a decoder makes the film again.

The report on Sora (OpenAI, February 2024) says that films are "compressed" in time and space before they are cut into
patches, and gives no details; the idea is that of latent diffusion (Rombach et al., arXiv:2112.10752). Ours takes blocks of
four frames and halves height and width twice:

    (1, T, H, W)  →  (C, T/4, H/4, W/4),    L = E ‖film - D(E(film) + σ ε)‖²,  ε ~ N(0, I)        (eq-sora-compression)

Each of the C channels of E(film) has mean 0 and variance 1 over the data, by a batch norm without weights. The noise σ that
the decoder must live with then bounds what a number can carry, to at most ½ log₂(1 + 1/σ²) bits, and makes the latent
space smooth: what lies near a film decodes to nearly that film. (A VAE does the same with a learned σ.)

No block of four frames sees another one, so the latents of known frames do not depend on what follows: films can be
continued. Convolutions pad with the ground, -1, so a film may have any height and width that 4 divides.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training.random import randn
from companion.validate import Count, NonNegative, checked

FRAMES = 4  # of one latent step
SCALE = 4  # rows and columns of one latent cell


class FilmCompressor(nn.Module):
    """Encoder and decoder (eq-sora-compression).

    Args:
        channels: C, numbers for each latent cell, which stands for 4·4·4 = 64 pixels.
        width: of the convolutions.
        noise: σ.
    """

    @checked
    def __init__(self, channels: Count = 8, width: Count = 32, noise: NonNegative = 0.1) -> None:
        super().__init__()
        self.channels, self.noise = channels, noise
        self.encoder = nn.Sequential(
            nn.Conv2d(FRAMES, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(2 * width, channels, 1),
        )  # fmt: skip
        self.unit = nn.BatchNorm2d(channels, eps=1e-7, affine=False)
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, 2 * width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU(),
            nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU(),
            nn.Conv2d(width, FRAMES, 3, padding=1),
        )  # fmt: skip

    @checked
    def encode(
        self, films: Float[Tensor, "n 1 frames height width"]
    ) -> Float[Tensor, "n channels latent_frames latent_height latent_width"]:
        """The latents of films in [-1, 1]; frames, height and width multiples of 4."""
        n, _, frames, height, width = films.shape
        if frames % FRAMES or height % SCALE or width % SCALE:
            raise ValueError(
                f"films: got {frames} frames of {height}×{width}, wanted multiples of {FRAMES}, {SCALE} and {SCALE}"
            )
        blocks = films.reshape(n * frames // FRAMES, FRAMES, height, width) + 1  # 0 is the ground, and the padding
        latents = self.unit(self.encoder(blocks))
        return latents.reshape(n, frames // FRAMES, *latents.shape[1:]).transpose(1, 2)

    @checked
    def decode(
        self, latents: Float[Tensor, "n {self.channels} latent_frames latent_height latent_width"]
    ) -> Float[Tensor, "n 1 frames height width"]:
        """Films from latents; their values may leave [-1, 1] by a little."""
        n, _, t, h, w = latents.shape
        blocks = self.decoder(latents.transpose(1, 2).reshape(n * t, self.channels, h, w)) - 1
        return blocks.reshape(n, 1, FRAMES * t, SCALE * h, SCALE * w)


def compression_loss(
    model: FilmCompressor, batch: tuple[Float[Tensor, "n 1 frames height width"]], generator: torch.Generator
) -> Float[Tensor, ""]:
    """The error of the films that come back through noise (eq-sora-compression), as a mean over pixels."""
    (films,) = batch
    latents = model.encode(films)
    noise = randn(latents.shape, generator, latents)
    return F.mse_loss(model.decode(latents + model.noise * noise), films)
