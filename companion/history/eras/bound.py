r"""The variational bound of a diffusion model on the likelihood of binary pixels, comparable with any other model's.

The terms of `companion.diffusion.bound.bound_terms` describe densities of continuous data, and a density is on another
scale than a probability. Ho, Jain & Abbeel, arXiv:2006.11239, section 3.3, make one of the other: the last step of the chain,
a Gaussian around the mean :math:`\mu`, gives each value the mass of its interval. With two values, -1 and 1, the intervals
meet at 0 (eq-eras-mass):

.. math:: P(x = \pm 1 \mid x_1) = \Phi(\pm \mu / \sigma)

so that :math:`-\log P(x_0) \le L_T + \sum_t L_t - E \log P(x_0 \mid x_1)` bounds the probability of the 196 bits
(eq-eras-bound): nats an image, on the scale of a VAE's bound and of a GPT's exact value. Departures: the width :math:`\sigma`
of the last step is free in the bound; it is chosen on other images than those that are measured (`fit_width`).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.bound import bound_terms
from companion.diffusion.ddpm import posterior
from companion.diffusion.paths import VariancePreserving, q_sample
from companion.diffusion.prediction import Denoiser
from companion.training.random import randn
from companion.validate import Positive, checked

WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class BinaryBound:
    """The parts of the bound on -log P(x_0), in nats, one number an image (eq-eras-bound).

    Attributes:
        prior: L_T, what is left of the image where the sampler begins.
        steps: the sum of the steps' terms.
        last: -log P(x_0 | x_1).
    """

    prior: Float[Tensor, "n"]
    steps: Float[Tensor, "n"]
    last: Float[Tensor, "n"]

    @property
    def total(self) -> Float[Tensor, "n"]:
        return self.prior + self.steps + self.last


@checked
def last_step_nats(mean: Float[Tensor, "n ..."], x0: Float[Tensor, "n ..."], width: Positive) -> Float[Tensor, "n"]:
    """-log P(x_0 | x_1) of pixels -1 and 1: the mass of a Gaussian on the pixel's side of 0 (eq-eras-mass)."""
    if mean.shape != x0.shape or not (x0.abs() == 1).all():
        raise ValueError(
            f"x0: got shape {tuple(x0.shape)} up to {float(x0.abs().max()):g}, wanted {tuple(mean.shape)} of -1 and 1"
        )
    return -torch.special.log_ndtr(x0 * mean / width).flatten(1).sum(1)


def _last_mean(denoiser: Denoiser, schedule: VariancePreserving, x0: Tensor, generator: torch.Generator) -> Tensor:
    """The mean of x_0 that the chain's last step gives, from one draw of the state before it."""
    t = torch.zeros(len(x0), dtype=torch.long, device=x0.device)
    x_t = q_sample(schedule, x0, t, randn(x0.shape, generator, x0))
    return posterior(schedule, denoiser(x_t, t).x0, x_t, t)[0]


@torch.no_grad()
def fit_width(
    denoiser: Denoiser, schedule: VariancePreserving, x0: Float[Tensor, "n ..."], generator: torch.Generator
) -> float:
    """The width of `WIDTHS` at which the last step's loss on these images is lowest: use others than are measured."""
    mean = _last_mean(denoiser, schedule, x0, generator)
    return min(WIDTHS, key=lambda width: float(last_step_nats(mean, x0, width).mean()))


@torch.no_grad()
@checked
def binary_bound(
    denoiser: Denoiser,
    schedule: VariancePreserving,
    x0: Float[Tensor, "n channels height width"],
    generator: torch.Generator,
    *,
    width: Positive,
) -> BinaryBound:
    """The bound on -log P(x_0) for images of -1 and 1, with one draw for each step (eq-eras-bound).

    Args:
        width: of the last step's Gaussian, from `fit_width`.
    """
    terms = bound_terms(denoiser, schedule, x0, generator, variance="small")
    last = last_step_nats(_last_mean(denoiser, schedule, x0, generator), x0, width)
    return BinaryBound(prior=terms[-1], steps=terms[1:-1].sum(0), last=last)
