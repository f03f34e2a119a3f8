r"""The variational bound of a diffusion model, term by term.

Ho, Jain & Abbeel, arXiv:2006.11239, equation 5:
:math:`-\log p(x_0) \le L_T + \sum_{t \ge 1} E\, KL(q(x_{t-1} | x_t, x_0) \| p(x_{t-1} | x_t)) + L_0` (eq-ddpm-bound).
Departure: :math:`L_0` is the density of a Gaussian, not of a discretised one.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.ddpm import posterior
from companion.diffusion.paths import Variance, VariancePreserving, for_each, q_sample
from companion.diffusion.prediction import Denoiser
from companion.training.random import randn
from companion.validate import Finite, checked


@torch.no_grad()
@checked
def bound_terms(
    denoiser: Denoiser,
    path: VariancePreserving,
    x0: Finite[Tensor, "n ..."],
    generator: torch.Generator,
    *,
    variance: Variance = "large",
) -> Float[Tensor, "terms n"]:
    """Each term of the bound on -log p(x_0), in nats an example (eq-ddpm-bound): rows L_0, …, L_{T-1}, then L_T.

    One draw of x_t for each. With the "small" variance, which is 0 at t = 0, L_0 borrows the variance of t = 1.
    """
    table = path.reverse_variance(variance).clone()
    if variance == "small":
        table[0] = table[min(1, path.steps - 1)] or path.beta[0]
    rows = []
    for t in range(path.steps):
        steps = for_each(t, x0)
        x_t = q_sample(path, x0, steps, randn(x0.shape, generator, x0))
        true_mean, true_variance = posterior(path, x0, x_t, steps)
        mean, _ = posterior(path, denoiser(x_t, steps).x0, x_t, steps)
        ours = path.at(table, steps, x0)
        if t == 0:
            values = 0.5 * (torch.log(2 * math.pi * ours) + (x0 - mean).square() / ours)
        else:
            ratio = true_variance / ours
            values = 0.5 * (ratio - 1 - ratio.log() + (true_mean - mean).square() / ours)
        rows.append(values.expand_as(x0).flatten(1).sum(1))
    left = float(path.alpha_bar[-1])
    rows.append(0.5 * (left * x0.square() - left - math.log1p(-left)).flatten(1).sum(1))
    return torch.stack(rows)
