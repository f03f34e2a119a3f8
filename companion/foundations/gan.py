r"""Generative adversarial networks: two losses, the optimal discriminator, and the loop that alternates.

Goodfellow et al., "Generative Adversarial Nets", arXiv:1406.2661. With :math:`D(x) = \sigma(a(x))`, a the logit:

- value (eq-gan-value): :math:`V(D, G) = E_{x \sim p} \log D(x) + E_{x \sim q} \log(1 - D(x))`
- optimal discriminator (eq-optimal-discriminator): :math:`D^*(x) = p(x) / (p(x) + q(x))`
- its value (eq-gan-jsd): :math:`V(D^*, G) = -\log 4 + 2\, \mathrm{JSD}(p, q)`
- non-saturating loss (eq-non-saturating): :math:`L_G = -E_z \log D(G(z))`
- R1 (eq-r1): :math:`\frac{\gamma}{2} E_{x \sim p} \|\nabla_x a(x)\|^2`, Mescheder et al., arXiv:1801.04406

Departures: networks give logits, never probabilities, so that nothing is lost where D is sure; AdamW with a schedule and an
average of G's weights in place of plain gradient steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import trange

from companion.training import TrainConfig, TrainingDiverged, Updater, evaluating
from companion.training.random import randn
from companion.validate import Count, Finite, NonNegative, checked

Scores = Float[Tensor, "n"]
# critic_loss(D, real, fake, generator) and generator_loss(scores of fakes): any pair of adversaries fits the loop.
CriticLoss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
GeneratorLoss = Callable[[Tensor], Tensor]


@checked
def discriminator_loss(real_logits: Scores, fake_logits: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """-V(D, G): the cross-entropy of telling real (1) from fake (0), a sum of two means (eq-gan-value)."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


@checked
def minimax_loss(fake_logits: Scores) -> Float[Tensor, ""]:
    """G's half of the minimax game, E log(1 - D): its gradient vanishes where D is sure that a sample is fake."""
    return -F.softplus(fake_logits).mean()


@checked
def non_saturating_loss(fake_logits: Scores) -> Float[Tensor, ""]:
    """-E log D: pulls hardest where D is sure that a sample is fake (eq-non-saturating)."""
    return F.softplus(-fake_logits).mean()


@checked
def optimal_discriminator(log_p: Scores, log_q: Scores) -> Scores:
    """D* = p / (p + q), from the two log-densities at the same points (eq-optimal-discriminator)."""
    return torch.sigmoid(log_p - log_q)


@checked
def jensen_shannon(p: Finite[Tensor, "n"], q: Finite[Tensor, "n"]) -> Float[Tensor, ""]:
    """The Jensen-Shannon divergence of two discrete laws in nats, from 0 to log 2; a probability may be 0."""
    for name, law in {"p": p, "q": q}.items():
        if (law < 0).any() or abs(float(law.sum()) - 1) > 1e-5:
            raise ValueError(
                f"{name}: got values that sum to {float(law.sum()):g}, wanted probabilities: from 0, sum 1"
            )
    middle = (p + q) / 2
    # xlogy gives 0 log 0 = 0.
    halves = [torch.xlogy(law, law) - torch.xlogy(law, middle) for law in (p, q)]
    return (halves[0] + halves[1]).sum() / 2


def scores(D: nn.Module, x: Float[Tensor, "n ..."]) -> Scores:
    """D's one score for each point, as a vector."""
    found = D(x)
    if found.shape != (len(x), 1):
        raise ValueError(f"scores: got shape {tuple(found.shape)}, wanted ({len(x)}, 1): one score a point")
    return found[:, 0]


def input_gradient(D: nn.Module, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n inputs"]:
    """The gradient of the score at each point with respect to the point, a row each; differentiable again."""
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True, materialize_grads=True)
    return gradient.flatten(1)


@checked
@dataclass(frozen=True)
class StandardCritic:
    """The discriminator's loss as the loop takes it, with the R1 penalty of weight ``gamma`` on real points (eq-r1)."""

    gamma: NonNegative = 0.0

    def __call__(self, D: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        loss = discriminator_loss(scores(D, real), scores(D, fake))
        return loss + self.gamma / 2 * input_gradient(D, real).square().sum(1).mean() if self.gamma else loss


@checked
@dataclass(frozen=True)
class GANConfig:
    """How to train a pair of adversaries.

    Attributes:
        generator: of G; its ``steps`` are the rounds of the game.
        critic: of D; ``critic_steps`` times as many steps.
        latent: how many numbers a latent z has.
        critic_steps: steps of D before each step of G.
    """

    generator: TrainConfig
    critic: TrainConfig
    latent: Count = 2
    critic_steps: Count = 1

    def __post_init__(self) -> None:
        if self.critic.steps != self.generator.steps * self.critic_steps:
            raise ValueError(
                f"critic.steps: got {self.critic.steps}, wanted {self.generator.steps} rounds × {self.critic_steps}"
            )


@dataclass
class GANHistory:
    """One number a round, and the evaluations."""

    critic_loss: list[float] = field(default_factory=list)
    generator_loss: list[float] = field(default_factory=list)
    evaluated_at: list[int] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class GANResult:
    """A trained pair; ``G`` has the averaged weights where the configuration asks for them. Both are in evaluation mode."""

    G: nn.Module
    D: nn.Module
    history: GANHistory


def critic_backward(
    G: nn.Module, D: nn.Module, real: Tensor, z: Tensor, loss: CriticLoss, generator: torch.Generator
) -> float:
    """Put the gradient of D's loss into D's parameters; G is not touched, its samples carry no gradient."""
    D.zero_grad(set_to_none=True)
    with torch.no_grad():
        fake = G(z)
    value = loss(D, real, fake, generator)
    value.backward()
    return value.item()


def generator_backward(G: nn.Module, D: nn.Module, z: Tensor, loss: GeneratorLoss) -> float:
    """Put the gradient of G's loss into G's parameters: through D, but not into D."""
    G.zero_grad(set_to_none=True)
    D.requires_grad_(False)
    value = loss(scores(D, G(z)))
    value.backward()
    D.requires_grad_(True)
    return value.item()


def train_gan(
    G: nn.Module,
    D: nn.Module,
    draw: Callable[[int, torch.Generator], tuple[Tensor, ...]],
    critic_loss: CriticLoss,
    generator_loss: GeneratorLoss,
    config: GANConfig,
    *,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_every: int | None = None,
) -> GANResult:
    """Let two networks play: D learns to tell real from fake, then G learns from D, and so on.

    Args:
        G: maps latents, shape (n, latent), to samples.
        D: maps samples to one score each, shape (n, 1).
        draw: ``draw(n, generator)``, a fresh batch of real samples.
        critic_loss: ``critic_loss(D, real, fake, generator)``, such as ``StandardCritic()``.
        generator_loss: of the scores of fakes, such as `non_saturating_loss`.
        config: how to train.
        evaluate: numbers of G (averaged weights where there are) for the history, without gradients.
        evaluate_every: rounds between two evaluations; only at the end if not given.

    Raises:
        TrainingDiverged: a loss or gradient is not finite.
    """
    rounds, batch = config.generator.steps, config.generator.batch_size
    device = next(G.parameters()).device
    players = Updater(G, config.generator), Updater(D, config.critic)
    noise = torch.Generator().manual_seed(config.generator.seed)
    data = torch.Generator().manual_seed(config.generator.seed + 1)
    best = players[0].ema.model if players[0].ema is not None else G
    history = GANHistory()
    for step in trange(rounds, delay=2, leave=False):
        for _ in range(config.critic_steps):
            real = draw(batch, data)[0].to(device)
            z = randn((batch, config.latent), noise, device=device)
            d_value = critic_backward(G, D, real, z, critic_loss, noise)
            players[1].step()
        z = randn((batch, config.latent), noise, device=device)
        g_value = generator_backward(G, D, z, generator_loss)
        if not math.isfinite(d_value + g_value):
            raise TrainingDiverged(f"the losses are {d_value} (D) and {g_value} (G) in round {step} of {rounds}")
        players[0].step()
        history.critic_loss.append(d_value)
        history.generator_loss.append(g_value)
        last = step == rounds - 1
        if evaluate is not None and (last or (evaluate_every and (step + 1) % evaluate_every == 0)):
            history.evaluated_at.append(step + 1)
            with evaluating(best) as model:
                history.evaluations.append(evaluate(model))
    return GANResult(best.eval(), D.eval(), history)
