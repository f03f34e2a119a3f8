r"""Four milestones (2013 to 2020) as plans of training, on one budget of operations.

With c the operations of one update (`companion.metrics.flops`: forward and backward; for the GAN those of both players) and C
what each era may spend, an era makes (eq-eras-steps)

.. math:: n = \lfloor C / c \rfloor

updates. C and the training pictures with their distortions are the same for all. So are the optimiser (AdamW with averaged
weights) and the schedule of its rate, but for the GAN, which keeps the optimiser of its year (`gan.play`).
There are two budgets: `LIVE`, all four in about a minute of one processor core, and `SHIPPED`, for the weights that come
with the package (`companion.models`), with networks of 0.37 to 0.49 million weights. Operations on single numbers (activations,
norms, the optimiser) are not counted, nor is sampling. A live training takes its distorted pictures from a pool
(`grey.Drawing`), the same one for all eras; the shipped ones distorted each anew.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.history.eras import diffusion, gan, pixel_gpt, vae
from companion.history.eras.codebook import Codebook
from companion.history.eras.grey import Drawing, Pictures, to_greys
from companion.metrics.flops import count_flops
from companion.training import TrainConfig, train
from companion.validate import Count, check_number, checked

LIVE, SHIPPED = 3e11, 2e13
POOL = 4  # distorted versions of each picture in a live training
Size = Literal["live", "shipped"]


def _adamw(model: nn.Module, loss: Callable[..., Tensor], draw: Drawing, config: TrainConfig, **how) -> nn.Module:
    return train(model, loss, draw, config, **how).model


@dataclass(frozen=True)
class Era:
    """A milestone, and how it is trained.

    Attributes:
        name: of the idea.
        year: in which it was published.
        build: ``build(images, size)``, the untrained network; the GPT clusters the images' patches first.
        loss: for `companion.training.train`.
        batch_size: pictures in one update.
        lr: the highest learning rate.
        train: ``train(model, loss, draw, config, checkpoint=...)``, which returns the trained model.
    """

    name: str
    year: int
    build: Callable[[Pictures, Size], nn.Module]
    loss: Callable[..., Tensor]
    batch_size: int
    lr: float
    train: Callable[..., nn.Module] = _adamw


@dataclass(frozen=True)
class Fitted:
    """A trained era and what it cost.

    Attributes:
        era: which.
        model: ``model.draw(n, generator)`` draws pictures.
        step_flops: operations of one update.
        steps: updates made.
    """

    era: Era
    model: nn.Module
    step_flops: int
    steps: int

    @property
    def flops(self) -> int:
        return self.step_flops * self.steps


GPT_SIZES = {
    "live": pixel_gpt.PixelGPTConfig(layers=2, heads=2, hidden=96),
    "shipped": pixel_gpt.PixelGPTConfig(width=96, layers=4, hidden=240),
}
GAN_SIZES = {"live": (128, 48), "shipped": (380, 100)}  # units in a layer of each player
DIFFUSION_SIZES = {"live": (16, 32), "shipped": (24, 48)}


def _vae(images: Pictures, size: Size) -> nn.Module:
    return vae.GreyVAE()


def _gan(images: Pictures, size: Size) -> nn.Module:
    hidden, units = GAN_SIZES[size]
    return gan.Players(gan.Generator(hidden), gan.Discriminator(units))


def _gpt(images: Pictures, size: Size) -> nn.Module:
    codebook = Codebook().to(images.device).fit(to_greys(images), torch.Generator().manual_seed(0))
    return pixel_gpt.PictureWriter(codebook, GPT_SIZES[size])


def _diffusion(images: Pictures, size: Size) -> nn.Module:
    return diffusion.GreyUNet(DIFFUSION_SIZES[size])


VAE = Era("VAE", 2013, _vae, vae.vae_loss, vae.BATCH, lr=2e-3)
GAN = Era("GAN", 2014, _gan, gan.GANLoss(), gan.BATCH, lr=0.1, train=gan.play)
GPT = Era("GPT", 2018, _gpt, pixel_gpt.gpt_loss, pixel_gpt.BATCH, lr=4e-3)
DIFFUSION = Era("Diffusion", 2020, _diffusion, diffusion.diffusion_loss, diffusion.BATCH, lr=4e-3)
ERAS = (VAE, GAN, GPT, DIFFUSION)


@checked
def steps_for(budget: float, step_flops: Count) -> int:
    """How many whole updates a budget of operations allows (eq-eras-steps).

    Raises:
        ValueError: it is less than one takes.
    """
    check_number("budget", budget, low=step_flops)
    return int(budget // step_flops)


def update_flops(era: Era, model: nn.Module, images: Pictures) -> int:
    """The operations of one update, counted on a copy."""
    trial, draw, generator = copy.deepcopy(model), Drawing(images), torch.Generator().manual_seed(0)
    batch = draw(era.batch_size, generator)
    return count_flops(lambda: era.loss(trial, batch, generator).backward())


def fit(
    era: Era,
    images: Float[Tensor, "n 1 28 28"],
    budget: float,
    seed: int,
    *,
    size: Size = "live",
    model: nn.Module | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Train an era on pictures in [-1, 1] until the budget is spent.

    Args:
        budget: in operations.
        model: to go on with, instead of a new one of ``size``.
        checkpoint: where the training saves its state and resumes from.
    """
    torch.manual_seed(seed)
    net = era.build(images, size).to(images.device) if model is None else model
    step_flops = update_flops(era, net, images)
    steps = steps_for(budget, step_flops)
    config = TrainConfig(
        steps=steps, batch_size=era.batch_size, lr=era.lr, final_lr=0.02, clip=100.0,
        ema=0.995 if size == "live" else 0.999, precision="auto", seed=seed,
    )  # fmt: skip
    draw = Drawing(images)
    if size == "live":
        draw = draw.pooled(POOL, torch.Generator().manual_seed(0))
    trained = era.train(net, era.loss, draw, config, checkpoint=checkpoint)
    return Fitted(era, trained, step_flops, steps)
