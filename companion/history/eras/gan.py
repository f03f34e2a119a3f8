r"""2014: a generator against a discriminator, with the networks and losses of the first paper.

Goodfellow et al., "Generative Adversarial Nets", arXiv:1406.2661, and their code (github.com/goodfeli/adversarial,
``mnist.yaml``): a generator of 100 uniform numbers, two layers of rectifiers and a sigmoid; a discriminator of two layers of
maxout units with dropout, of pixels (0.2) and of units (0.5). With D(x) = σ(a(x)), a the logit, and x' = G(z)

- the discriminator descends :math:`-E \log D(x) - E \log(1 - D(x'))` (eq-eras-critic)
- the generator descends :math:`-E \log D(x')` (eq-eras-generator), the paper's own remedy for a D that is sure

by turns, with their optimiser: gradient descent of rate 0.1 with momentum 0.5. A term may be added to the
discriminator's, the R1 penalty of 2018 (Mescheder, Geiger & Nowozin, arXiv:1801.04406):
:math:`\frac{\gamma}{2} E |\nabla_x a(x)|^2` on real pictures (eq-eras-r1).

Departures: fewer units (their generator had 1,200 in each layer) and batches of 50, not 100, which gives more rounds for the
same operations; the momentum stays, where theirs rose to 0.7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call
from tqdm import trange

from companion.foundations.gan import discriminator_loss, input_gradient, non_saturating_loss, scores
from companion.history.eras.grey import PIXELS, SIDE, Pictures
from companion.training import TrainConfig, TrainingDiverged
from companion.training.batches import seeded
from companion.training.random import rand
from companion.validate import Count, checked

NOISE = 100
BATCH = 50
MOMENTUM = 0.5
DECAY = 1 / 1.000004  # of the rate, a round


class Maxout(nn.Module):
    """Each unit is the largest of several linear functions (Goodfellow et al., arXiv:1302.4389)."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.units, self.linear = units, nn.Linear(inputs, units * pieces)

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n units"]:
        return self.linear(x).unflatten(1, (self.units, -1)).amax(2)


class Generator(nn.Module):
    """From 100 uniform numbers to a picture."""

    @checked
    def __init__(self, hidden: Count = 380) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(NOISE, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, PIXELS)
        )

    def forward(self, z: Float[Tensor, "n 100"]) -> Pictures:
        return (2 * torch.sigmoid(self.net(z)) - 1).reshape(-1, 1, SIDE, SIDE)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator) -> Pictures:
        """n pictures."""
        return self(self.noise(n, generator))

    def noise(self, n: int, generator: torch.Generator) -> Float[Tensor, "n 100"]:
        """Uniform numbers of variance 1."""
        return 3**0.5 * (2 * rand((n, NOISE), generator, next(self.parameters())) - 1)


class Discriminator(nn.Module):
    """One score for each picture: above 0 for "real"."""

    @checked
    def __init__(self, units: Count = 100, pieces: Count = 5, *, dropout: bool = True) -> None:
        super().__init__()
        pixels, hidden = (0.2, 0.5) if dropout else (0.0, 0.0)
        self.net = nn.Sequential(
            nn.Flatten(), nn.Dropout(pixels), Maxout(PIXELS, units, pieces),
            nn.Dropout(hidden), Maxout(units, units, pieces), nn.Dropout(hidden), nn.Linear(units, 1),
        )  # fmt: skip

    def forward(self, images: Pictures) -> Float[Tensor, "n 1"]:
        return self.net((images + 1) / 2)  # so that what dropout sets to 0 is paper, as in the paper's data


class Players(nn.Module):
    """Generator and discriminator as one model."""

    def __init__(self, G: Generator, D: Discriminator) -> None:
        super().__init__()
        self.G, self.D = G, D

    def draw(self, n: int, generator: torch.Generator) -> Pictures:
        return self.G.draw(n, generator)


@dataclass(frozen=True)
class GANLoss:
    """What each player descends.

    Attributes:
        gamma: weight of the R1 penalty; 0 is the game of 2014.
    """

    gamma: float = 0.0

    def critic(self, players: Players, real: Pictures, fake: Pictures) -> Float[Tensor, ""]:
        """The discriminator's loss (eq-eras-critic, eq-eras-r1); the generator gets no gradient of it."""
        D = players.D
        both = scores(D, torch.cat([real, fake.detach()]))  # one pass is quicker than two
        loss = discriminator_loss(*both.tensor_split([len(real)]))
        return loss + self.gamma / 2 * input_gradient(D, real).square().sum(1).mean() if self.gamma else loss

    def generator(self, players: Players, real: Pictures, fake: Pictures) -> Float[Tensor, ""]:
        """The generator's loss (eq-eras-generator); the discriminator gets no gradient of it."""
        frozen = {name: weight.detach() for name, weight in players.D.named_parameters()}
        return non_saturating_loss(functional_call(players.D, frozen, (fake,))[:, 0])

    def __call__(self, players: Players, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
        """Both in one sum: its gradient has for each player what its own loss has, and costs what a round costs."""
        fake = players.G(players.G.noise(len(batch[0]), generator))
        return self.critic(players, batch[0], fake) + self.generator(players, batch[0], fake)


def play(
    players: Players,
    loss: GANLoss,
    draw: Callable[[int, torch.Generator], tuple[Tensor, ...]],
    config: TrainConfig,
    *,
    checkpoint: Path | None = None,
    checkpoint_every: int = 500,
) -> Players:
    """Round by round: the discriminator steps, then the generator, on the same drawn pictures.

    Args:
        config: its ``steps``, ``batch_size``, ``lr`` and ``seed``; the rate falls by `DECAY` a round.
        checkpoint: where the state is saved and resumed from; all randomness of a round follows from seed and round.

    Raises:
        TrainingDiverged: a loss is not finite.
    """
    device = next(players.parameters()).device
    optimizers = [torch.optim.SGD(player.parameters(), config.lr, MOMENTUM) for player in (players.D, players.G)]
    first = _resume(players, optimizers, checkpoint) if checkpoint is not None and checkpoint.exists() else 0
    players.train()
    for step in trange(first, config.steps, initial=first, total=config.steps, delay=2, leave=False):
        with seeded(device, config.seed, step, 0) as generator:
            real = draw(config.batch_size, generator)[0]
            fake = players.G(players.G.noise(len(real), generator))
            for optimizer, of_player in zip(optimizers, (loss.critic, loss.generator), strict=True):
                value = of_player(players, real, fake)
                if not value.isfinite():
                    raise TrainingDiverged(f"a loss is {value.item()} in round {step}: lower the rate {config.lr:g}")
                optimizer.zero_grad()
                value.backward()
                optimizer.param_groups[0]["lr"] = config.lr * DECAY**step
                optimizer.step()
        if checkpoint is not None and (step + 1) % checkpoint_every == 0:
            _save(players, optimizers, checkpoint, step + 1)
    return players.eval()


def _momenta(optimizers: list[torch.optim.SGD]) -> dict[str, Tensor]:
    return {
        f"momentum {i} {j}": optimizer.state[parameter]["momentum_buffer"]
        for i, optimizer in enumerate(optimizers)
        for j, parameter in enumerate(optimizer.param_groups[0]["params"])
    }


def _save(players: Players, optimizers: list[torch.optim.SGD], checkpoint: Path, step: int) -> None:
    part = checkpoint.with_suffix(".part")
    save_file({**players.state_dict(), **_momenta(optimizers), "step": torch.tensor(step)}, part)
    part.replace(checkpoint)


def _resume(players: Players, optimizers: list[torch.optim.SGD], checkpoint: Path) -> int:
    stored = load_file(checkpoint)
    for optimizer in optimizers:
        for parameter in optimizer.param_groups[0]["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    for name, momentum in _momenta(optimizers).items():
        momentum.copy_(stored.pop(name))
    step = int(stored.pop("step"))
    players.load_state_dict(stored)
    return step
