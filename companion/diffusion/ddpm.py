r"""Ancestral sampling: undo one small step of noising, and then all of them.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", 2020, arXiv:2006.11239, on a `VariancePreserving` path:

- posterior (eq-ddpm-posterior): :math:`q(x_{t-1} \mid x_t, x_0) = N(\tilde\mu, \tilde\beta_t I)`,
  :math:`\tilde\mu = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t} x_0
  + \frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} x_t`,
  :math:`\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t} \beta_t`
- reverse step (eq-ddpm-reverse): :math:`x_{t-1} = \tilde\mu(\hat x_0, x_t) + \sigma_t z`, without noise z at t = 0

:math:`\sigma_t^2` is :math:`\tilde\beta_t` ("small", right for one known image) or :math:`\beta_t` ("large", right for N(0,
I) data); Ho et al. found both about as good. Departure: the mean is written with :math:`\hat x_0`, which may be clipped, not
with the noise.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.paths import Variance, VariancePreserving, for_each
from companion.diffusion.prediction import Denoiser, Prediction, widened_state
from companion.training.random import randn
from companion.validate import Finite, checked


@checked
def posterior(
    path: VariancePreserving, x0: Float[Tensor, "n *axes"], x_t: Float[Tensor, "n *axes"], t: Int[Tensor, "n"]
) -> tuple[Float[Tensor, "n *axes"], Float[Tensor, "n ..."]]:
    """Mean and variance of x_{t-1}, given x_t and x_0 (eq-ddpm-posterior); the variance has one value for each example."""
    beta, before, bar = path.beta, path.alpha_bar_before, path.alpha_bar
    of_x0 = path.at(before.sqrt() * beta / (1 - bar), t, x0)
    of_x_t = path.at((1 - beta).sqrt() * (1 - before) / (1 - bar), t, x0)
    return of_x0 * x0 + of_x_t * x_t, path.at(path.posterior_variance, t, x0)


@checked
def reverse_step(
    path: VariancePreserving,
    x_t: Float[Tensor, "n *axes"],
    prediction: Prediction,
    t: int,
    noise: Float[Tensor, "n *axes"],
    *,
    variance: Variance = "small",
) -> Float[Tensor, "n *axes"]:
    """x_{t-1} from x_t and what is thought to be in it (eq-ddpm-reverse).

    Args:
        noise: a standard normal draw; not used at t = 0.
    """
    steps = for_each(t, x_t)
    mean, _ = posterior(path, prediction.x0, x_t, steps)
    if t == 0:
        return mean
    return mean + path.at(path.reverse_variance(variance).sqrt(), steps, x_t) * noise


@torch.no_grad()
@checked
def ancestral_sample(
    denoiser: Denoiser,
    path: VariancePreserving,
    x: Finite[Tensor, "n ..."],
    generator: torch.Generator,
    *,
    variance: Variance = "small",
) -> Float[Tensor, "n ..."]:
    """From noise ``x`` at step T - 1 back to data, one step after another."""
    dtype, (denoiser, x) = x.dtype, widened_state(denoiser, path, x)
    for t in reversed(range(path.steps)):
        prediction = denoiser(x, for_each(t, x))
        x = reverse_step(path, x, prediction, t, randn(x.shape, generator, x), variance=variance)
    return x.to(dtype)
