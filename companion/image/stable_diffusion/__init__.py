"""Stable Diffusion: an autoencoder, a text tower and a denoiser between them; whole in `pipeline`."""

from companion.image.stable_diffusion.autoencoder import AutoencoderKL, AutoencoderLoss, Posterior
from companion.image.stable_diffusion.config import AutoencoderConfig, TextUNetConfig
from companion.image.stable_diffusion.latents import Latents
from companion.image.stable_diffusion.pipeline import StableDiffusion
from companion.image.stable_diffusion.unet import TextUNet

__all__ = [
    "AutoencoderConfig",
    "AutoencoderKL",
    "AutoencoderLoss",
    "Latents",
    "Posterior",
    "StableDiffusion",
    "TextUNet",
    "TextUNetConfig",
]
