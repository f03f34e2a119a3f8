r"""The game as one loss for the course's training loop: the critic's turn, the generator's turn, and so on.

With critic's scores :math:`D`, :math:`s(t) = \log(1 + e^t)`, real x and drawn :math:`\tilde x = G(z)`:

- `Standard`: :math:`L_D = E\, s(-D(x)) + E\, s(D(\tilde x))`, :math:`L_G = E\, s(-D(\tilde x))` (Goodfellow et al.,
  arXiv:1406.2661; `companion.foundations.gan`).
- `Relativistic`: :math:`L_D = E\, s(D(\tilde x) - D(x))`, :math:`L_G = E\, s(D(x) - D(\tilde x))` (eq-gan-relativistic), each
  drawn picture against one real partner: Jolicoeur-Martineau, arXiv:1807.00734 (RpGAN).
- penalties (eq-gan-penalties): :math:`\frac\gamma2 E |\nabla D(x)|^2` (R1) and :math:`\frac\gamma2 E |\nabla D(\tilde x)|^2`
  (R2), Mescheder, Geiger & Nowozin, arXiv:1801.04406; both together in Huang, Gokaslan, Kuleshov & Tompkin,
  arXiv:2501.05441 (R3GAN).

`Game` is called as a loss by `companion.training.train`, which then needs two steps for a round. A turn's gradient exists
for one player only, and AdamW leaves weights without a gradient alone.

Departures: each turn draws a new real batch; gamma is constant, where R3GAN lets it fall.
"""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.foundations.gan import Scores, discriminator_loss, input_gradient, non_saturating_loss, scores
from companion.training.modes import evaluating
from companion.training.random import randn
from companion.validate import Count, NonNegative, checked

Scalar = Float[Tensor, ""]


class Players(nn.Module):
    """Generator and critic as one model, and whose turn it is.

    Args:
        G: maps latents, shape (n, latent), to pictures.
        D: maps pictures to one score each, shape (n, 1); larger for "real".
        latent: how many numbers a latent z has.
    """

    @checked
    def __init__(self, G: nn.Module, D: nn.Module, latent: Count) -> None:
        super().__init__()
        self.G, self.D, self.latent = G, D, latent
        self.register_buffer("turns", torch.tensor(0))

    def noise(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latent"]:
        """Latents: standard normal."""
        return randn((n, self.latent), generator, next(self.G.parameters()))

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n ..."]:
        """n pictures, a part at a time, in evaluation mode."""
        z = self.noise(n, generator)
        with evaluating(self.G):
            return torch.cat([self.G(part) for part in z.split(500)])


class Pairing(Protocol):
    """What the two players descend, as functions of the scores of as many real as drawn pictures."""

    def critic(self, real: Scores, fake: Scores) -> Scalar: ...

    def generator(self, real: Scores, fake: Scores) -> Scalar: ...


class Standard:
    """Each picture by itself: is it real? The generator's half does not saturate."""

    def critic(self, real: Scores, fake: Scores) -> Scalar:
        return discriminator_loss(real, fake)

    def generator(self, real: Scores, fake: Scores) -> Scalar:
        return non_saturating_loss(fake)


class Relativistic:
    """A pair at a time: which of the two is the real one (eq-gan-relativistic)?"""

    @checked
    def critic(self, real: Scores, fake: Scores) -> Scalar:
        return F.softplus(fake - real).mean()

    @checked
    def generator(self, real: Scores, fake: Scores) -> Scalar:
        return F.softplus(real - fake).mean()


def slope(D: nn.Module, x: Float[Tensor, "n ..."]) -> Scalar:
    """The mean squared norm of D's gradient at these pictures: R1 of real ones, R2 of drawn ones, without gamma/2."""
    return input_gradient(D, x).square().sum(1).mean()


class Game:
    """The loss of the player whose turn it is.

    Args:
        pairing: `Standard` or `Relativistic`.
        r1: gamma of the penalty on real pictures.
        r2: gamma of the penalty on drawn ones.
    """

    @checked
    def __init__(self, pairing: Standard | Relativistic, r1: NonNegative = 0.0, r2: NonNegative = 0.0) -> None:
        self.pairing, self.r1, self.r2 = pairing, r1, r2

    def __call__(self, players: Players, batch: tuple[Tensor, ...], generator: torch.Generator) -> Scalar:
        z = players.noise(len(batch[0]), generator)
        critics_turn = int(players.turns) % 2 == 0
        players.turns += 1
        return (self.critic if critics_turn else self.generator)(players, batch[0], z)

    def critic(self, players: Players, real: Tensor, z: Tensor) -> Scalar:
        """The critic's loss; the generator gets no gradient of it."""
        D = players.D
        with torch.no_grad():
            fake = players.G(z)
        loss = self.pairing.critic(scores(D, real), scores(D, fake))
        for gamma, x in ((self.r1, real), (self.r2, fake)):
            if gamma:
                loss = loss + gamma / 2 * slope(D, x)
        return loss

    def generator(self, players: Players, real: Tensor, z: Tensor) -> Scalar:
        """The generator's loss: through the critic, but not into it."""
        D = players.D.requires_grad_(False)
        try:
            return self.pairing.generator(scores(D, real), scores(D, players.G(z)))
        finally:
            D.requires_grad_(True)
