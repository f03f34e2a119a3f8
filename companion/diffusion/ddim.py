r"""DDIM: the same trained denoiser, but few steps, and with as much fresh noise as one likes, down to none.

Song, Meng & Ermon, "Denoising Diffusion Implicit Models", arXiv:2010.02502. From step t to an earlier step s (s = -1 is the
data, :math:`\bar\alpha_{-1} = 1`), with :math:`\hat x_0` from the predicted noise :math:`\epsilon_\theta` (eq-ddpm-x0):

- :math:`x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1 - \bar\alpha_s - \sigma^2}\, \epsilon_\theta + \sigma z` (eq-ddim-step)
- :math:`\sigma^2 = \eta^2\, \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t} (1 - \bar\alpha_t / \bar\alpha_s)` (eq-ddim-sigma)

With :math:`\eta = 0` nothing is drawn: the same noise gives the same image. With :math:`\eta = 1` and s = t - 1 it is the
ancestral sampler. Departure: if :math:`\hat x_0` is clipped, :math:`\epsilon_\theta` is computed anew, so that both fit x_t.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.ddpm import Denoiser, NoiseSchedule, predict_x0
from companion.validate import check_count, check_float, check_number


def strided(total: int, steps: int) -> list[int]:
    """``steps`` of the steps total - 1, …, 0, evenly spread, falling, the noisiest first."""
    check_count("total", total)
    check_count("steps", steps, high=total)
    return [round(total - i * total / steps) - 1 for i in range(steps)]


def ddim_step(
    schedule: NoiseSchedule,
    x_t: Float[Tensor, "n ..."],
    t: int,
    s: int,
    eps: Float[Tensor, "n ..."],
    noise: Float[Tensor, "n ..."] | None = None,
    *,
    eta: float = 0.0,
    clip: float | None = None,
) -> Float[Tensor, "n ..."]:
    """x_s from x_t (eq-ddim-step).

    Args:
        t: the step of x_t.
        s: an earlier step, or -1 for the data.
        eps: the predicted noise in x_t.
        noise: a standard normal draw; needed where ``eta`` is above 0.
        eta: from 0, deterministic, to 1, the noise of the ancestral sampler.
        clip: the data's largest absolute value, to which the predicted data are clipped; None does not clip.
    """
    check_count("t", t, low=0, high=schedule.steps - 1)
    check_count("s", s, low=-1, high=t - 1)
    check_number("eta", eta, low=0, high=1)
    if eta > 0 and noise is None:
        raise ValueError(f"noise: got None with eta = {eta:g}, wanted a standard normal draw")
    bar_t = float(schedule.alpha_bar[t])
    bar_s = float(schedule.alpha_bar[s]) if s >= 0 else 1.0
    x0 = predict_x0(schedule, x_t, torch.full((len(x_t),), t, device=x_t.device), eps)
    if clip is not None:
        x0 = x0.clamp(-clip, clip)
        eps = (x_t - bar_t**0.5 * x0) / (1 - bar_t) ** 0.5
    variance = eta**2 * (1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s)
    x_s = bar_s**0.5 * x0 + (1 - bar_s - variance) ** 0.5 * eps
    return x_s if variance == 0 else x_s + variance**0.5 * noise


@torch.no_grad()
def ddim_sample(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: Float[Tensor, "n ..."],
    steps: int,
    generator: torch.Generator | None = None,
    *,
    eta: float = 0.0,
    clip: float | None = None,
) -> Float[Tensor, "n ..."]:
    """From noise ``x`` to data in ``steps`` calls of the denoiser; a generator is needed where ``eta`` is above 0."""
    check_float(x=x)
    if eta > 0 and generator is None:
        raise ValueError(f"generator: got None with eta = {eta:g}, wanted a torch.Generator")
    path = [*strided(schedule.steps, steps), -1]
    for t, s in zip(path[:-1], path[1:], strict=True):
        eps = denoiser(x, torch.full((len(x),), t, device=x.device))
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device) if eta > 0 else None
        x = ddim_step(schedule, x, t, s, eps, noise, eta=eta, clip=clip)
    return x
