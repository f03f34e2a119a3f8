r"""DDIM, on every path: the same trained denoiser in few steps, with as much fresh noise as one likes, down to none.

Song, Meng & Ermon, "Denoising Diffusion Implicit Models", arXiv:2010.02502. From time t to a time s nearer to the data, with
the predicted data and noise kept and mixed anew:

- :math:`x_s = \alpha_s\, \hat x_0 + \sqrt{\sigma_s^2 - \tau^2}\; \hat\epsilon + \tau z` (eq-ddim-step)
- :math:`\tau^2 = \eta^2\, \frac{\sigma_s^2}{\sigma_t^2} \big(\sigma_t^2 - \frac{\alpha_t^2}{\alpha_s^2} \sigma_s^2\big)`
  (eq-ddim-sigma)

With :math:`\eta = 0` nothing is drawn: the same noise gives the same sample. With :math:`\eta = 1` and s = t - 1 on a
variance-preserving path it is the ancestral sampler. Without noise it is **Euler's method** for the ordinary differential
equation :math:`dx = \hat x_0\, d\alpha + \hat\epsilon\, d\sigma` (eq-path-ode), since :math:`x_t = \alpha_t \hat x_0 +
\sigma_t \hat\epsilon`. On a straight path that equation is :math:`dx/dt = u` (eq-fm-ode) and the step :math:`x_s = x_t + (s -
t)\, u`; where t is the noise level, it is :math:`dx/d\sigma = \hat\epsilon` and the Euler sampler of Karras et al.,
arXiv:2206.00364.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from companion.diffusion.paths import Path, Time, Times, check_towards_data, for_each, time_pairs
from companion.diffusion.prediction import Denoiser, Prediction, widened_state
from companion.training.random import randn
from companion.validate import Finite, Share, checked


@checked
def ddim_step(
    path: Path,
    prediction: Prediction,
    t: Time | Shaped[Tensor, "n"],
    s: Time | Shaped[Tensor, "n"],
    noise: Float[Tensor, "n ..."] | None = None,
    *,
    eta: Share = 0.0,
) -> Float[Tensor, "n ..."]:
    """x_s from what is thought to be in x_t (eq-ddim-step).

    Args:
        t: the time of the prediction, one for all or one for each example.
        s: a time nearer to the data, or the data's own.
        noise: a standard normal draw; needed where ``eta`` is above 0.
        eta: from 0, deterministic, to 1, the noise of the ancestral sampler.
    """
    x0, eps = prediction.x0, prediction.eps
    t, s = for_each(t, x0), for_each(s, x0)
    check_towards_data(path, t, s)
    alpha_s, sigma_s = path.alpha_sigma(s, x0)
    if eta == 0:
        return alpha_s * x0 + sigma_s * eps
    if noise is None:
        raise ValueError(f"noise: got None with eta = {eta:g}, wanted a standard normal draw")
    alpha_t, sigma_t = path.alpha_sigma(t, x0)
    fresh = eta**2 * (sigma_s / sigma_t) ** 2 * (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2)
    return alpha_s * x0 + (sigma_s**2 - fresh).clamp(min=0).sqrt() * eps + fresh.clamp(min=0).sqrt() * noise


@torch.no_grad()
@checked
def ddim_sample(
    denoiser: Denoiser,
    path: Path,
    x: Finite[Tensor, "n ..."],
    times: Times,
    generator: torch.Generator | None = None,
    *,
    eta: Share = 0.0,
) -> Float[Tensor, "n ..."]:
    """From ``x``, noise at the first time, to the last time, usually the data; one call of the denoiser a step.

    Args:
        times: a number of steps, spread by ``path.times``; or the times themselves, the noisiest first; or a row of them
            for each example, shape (n, times).
        generator: of the fresh noise; needed where ``eta`` is above 0.
    """
    if eta > 0 and generator is None:
        raise ValueError(f"generator: got None with eta = {eta:g}, wanted a torch.Generator")
    dtype, (denoiser, x) = x.dtype, widened_state(denoiser, path, x)
    for t, s in time_pairs(path, times, x):
        noise = randn(x.shape, generator, x) if eta > 0 else None
        x = ddim_step(path, denoiser(x, t), t, s, noise, eta=eta)
    return x.to(dtype)
