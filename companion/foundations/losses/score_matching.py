r"""Denoising score matching, and Langevin sampling with the score that it learns.

Vincent, "A connection between score matching and denoising autoencoders", 2011; Song & Ermon, "Generative Modeling by
Estimating Gradients of the Data Distribution", arXiv:1907.05600.

- score (eq-score): :math:`s(x) = \nabla_x \log p(x)`
- loss (eq-dsm): :math:`L = E_{x, \sigma, \epsilon} \| \sigma\, s_\theta(x + \sigma\epsilon, \sigma) + \epsilon \|^2`; its
  optimum is the score of the smoothed law :math:`p_\sigma`, of which :math:`x + \sigma\epsilon` is a sample
- Langevin step (eq-langevin): :math:`x \leftarrow x + \frac{a}{2} s(x) + \sqrt{a}\, \epsilon`
- Tweedie (eq-tweedie): :math:`E[x \mid \tilde x] = \tilde x + \sigma^2 s_\sigma(\tilde x)`

Departures: the loss is the paper's with its weight σ²; noise levels are drawn log-uniformly instead of from a list; the
sampler ends with one noiseless denoising step (Jolicoeur-Martineau et al., arXiv:2009.05475).
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.nn.point_mlp import TimedPointMLP
from companion.training.random import randn
from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    checked,
)

# score(x, sigma): points (n, d) and one noise level each (n) to (n, d).
Score = Callable[[Tensor, Tensor], Tensor]


class ScoreMLP(nn.Module):
    """A score network for points: :math:`s_θ(x, σ) = net(x / √(1 + σ²), log σ / 4) / σ`, so that net's output is about -ε."""

    def __init__(self, dims: int, *, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.net = TimedPointMLP(dims, dims, width=width, depth=depth)

    def forward(self, x: Float[Tensor, "n d"], sigma: Float[Tensor, "n"]) -> Float[Tensor, "n d"]:
        scale = (1 + sigma.square()).rsqrt()[:, None]
        return self.net(x * scale, sigma.log() / 4) / sigma[:, None]


@checked
def score_matching_loss(
    score: Score,
    x: Float[Tensor, "n d"],
    sigma: Annotated[Float[Tensor, "n"], Range(0, open_low=True)],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Denoising score matching: noise the points, ask for the direction back (eq-dsm).

    Args:
        score: ``score(x, sigma)``.
        x: clean points.
        sigma: one noise level for each point, above 0.
        generator: of the noise.

    Returns:
        The mean over the points, summed over dimensions. Its least value is not 0: the noise cannot be told from the point.
    """
    noise = randn(x.shape, generator, like=x)
    predicted = score(x + sigma[:, None] * noise, sigma)
    if predicted.shape != x.shape:
        raise ValueError(f"predicted: got shape {tuple(predicted.shape)}, wanted {tuple(x.shape)}")
    return (sigma[:, None] * predicted + noise).square().sum(1).mean()


def denoise(score: Score, x: Float[Tensor, "n d"], sigma: float) -> Float[Tensor, "n d"]:
    """The mean of the clean point, given the noisy one (eq-tweedie)."""
    return x + sigma**2 * score(x, x.new_full((len(x),), sigma))


@torch.no_grad()
@checked
def langevin(
    score: Score,
    x: Finite[Tensor, "n d"],
    sigma: Positive,
    step_size: Positive,
    steps: Count,
    generator: torch.Generator,
) -> Float[Tensor, "n d"]:
    """Walk uphill on the log-density with noise (eq-langevin); in the end the points follow the smoothed law."""
    level = x.new_full((len(x),), sigma)
    for _ in range(steps):
        noise = randn(x.shape, generator, like=x)
        x = x + step_size / 2 * score(x, level) + math.sqrt(step_size) * noise
    return x


@torch.no_grad()
@checked
def annealed_langevin(
    score: Score,
    x: Float[Tensor, "n d"],
    sigmas: Float[Tensor, "levels"],
    *,
    steps: int = 10,
    rate: Positive = 0.2,
    generator: torch.Generator,
) -> Float[Tensor, "n d"]:
    """Langevin steps at one noise level after another, then one denoising step without noise.

    Args:
        score: ``score(x, sigma)``.
        x: the start, noise of standard deviation ``sigmas[0]``.
        sigmas: falling noise levels.
        steps: Langevin steps at each level.
        rate: step size in units of σ²; the paper's step size is proportional to σ² too.
        generator: of the noise.
    """
    if not ((sigmas.diff() < 0).all() and (sigmas > 0).all()):
        raise ValueError(f"sigmas: got {sigmas.tolist()}, wanted noise levels above 0 that fall")
    for sigma in sigmas.tolist():
        x = langevin(score, x, sigma, rate * sigma**2, steps, generator)
    return denoise(score, x, sigmas[-1].item())
