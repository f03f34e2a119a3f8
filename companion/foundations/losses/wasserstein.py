r"""The Wasserstein distance: exact in one dimension, by a critic with a gradient penalty in many.

Arjovsky, Chintala & Bottou, "Wasserstein GAN", arXiv:1701.07875; Gulrajani et al., "Improved Training of Wasserstein GANs",
arXiv:1704.00028.

- duality (eq-wasserstein-dual): :math:`W_1(p, q) = \max_{\|f\|_L \le 1} E_{x \sim p} f(x) - E_{x \sim q} f(x)`
- in one dimension (eq-wasserstein-1d): :math:`W_1(p, q) = \int |F_p(x) - F_q(x)|\, dx`
- penalty (eq-gradient-penalty): :math:`\lambda\, E_{\hat x} (\|\nabla f(\hat x)\|_2 - 1)^2`,
  :math:`\hat x = \epsilon x + (1 - \epsilon) \tilde x`, one :math:`\epsilon \sim U[0, 1]` for each pair of samples

Critic and generator fit the loop of `companion.foundations.gan.train_gan`. Departures: none in the loss; the critic may take
fewer than the paper's five steps a round.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.foundations.gan import Scores, input_gradient, scores
from companion.training.random import rand
from companion.validate import Finite, NonNegative, checked


@checked
def critic_gap(real_scores: Scores, fake_scores: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """E f(real) - E f(fake): what the critic maximises; W1 itself for the best critic of slope 1 (eq-wasserstein-dual)."""
    return real_scores.mean() - fake_scores.mean()


@checked
def wasserstein_loss(fake_scores: Scores) -> Float[Tensor, ""]:
    """-E f(fake): the part of the gap that G can move."""
    return -fake_scores.mean()


def between(real: Float[Tensor, "n ..."], fake: Float[Tensor, "n ..."], generator: torch.Generator) -> Tensor:
    """A random point on the segment from each fake to its real partner, one epsilon a pair, in [0, 1]."""
    if real.shape != fake.shape or real.ndim < 2 or not real.numel():
        raise ValueError(
            f"real, fake: got shapes {tuple(real.shape)} and {tuple(fake.shape)}, wanted one shape (n, ...) with n >= 1"
        )
    epsilon = rand((len(real), *[1] * (real.ndim - 1)), generator, like=real)
    return epsilon * real + (1 - epsilon) * fake


def gradient_penalty(critic: nn.Module, x: Float[Tensor, "n ..."]) -> Scores:
    """(‖∇f(x)‖ - 1)², the norm over all axes but the first: one value a sample (eq-gradient-penalty, without λ)."""
    # vector_norm has the gradient 0 at 0, where the square root's would be NaN.
    return (torch.linalg.vector_norm(input_gradient(critic, x), dim=1) - 1).square()


@checked
@dataclass(frozen=True)
class WassersteinCritic:
    """The critic's loss as the loop takes it: minus the gap, plus ``weight`` times the penalty."""

    weight: NonNegative = 10.0

    def __call__(self, critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        penalty = gradient_penalty(critic, between(real, fake, generator)).mean()
        return self.weight * penalty - critic_gap(scores(critic, real), scores(critic, fake))


@checked
def wasserstein_1d(x: Finite[Tensor, "n"], y: Finite[Tensor, "m"]) -> Float[Tensor, ""]:
    """W1 of two samples of numbers, by sorting: the area between their distribution functions (eq-wasserstein-1d).

    Args:
        x: one sample.
        y: the other; the sizes may differ.

    Returns:
        The distance in the units of the samples.
    """
    places = torch.cat([x, y]).sort().values
    below = [
        torch.searchsorted(sample.sort().values, places[:-1].contiguous(), right=True).to(places) / len(sample)
        for sample in (x, y)
    ]
    return ((below[0] - below[1]).abs() * places.diff()).sum()
