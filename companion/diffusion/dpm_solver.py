r"""DPM-Solver++(2M): second order from one call of the denoiser a step, because each step remembers the prediction before.

Lu, Zhou, Bao, Chen, Li & Zhu, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022,
arXiv:2211.01095, algorithm 2. Measure time by :math:`\lambda_t = \log(\alpha_t / \sigma_t)`, half the log signal-to-noise
ratio. If the predicted data :math:`\hat x_0` did not change along the way, a DDIM step would be exact for any size. They do
change; two predictions say how fast, so a straight line through them tells what they will be half-way through the step:

- :math:`D = \hat x_0(t) + \frac{1}{2 r} \big(\hat x_0(t) - \hat x_0(t')\big), \quad
  r = \frac{\lambda_t - \lambda_{t'}}{\lambda_s - \lambda_t}` (eq-realtime-line)
- :math:`x_s = \alpha_s\, D + \frac{\sigma_s}{\sigma_t} (x_t - \alpha_t\, D)` (eq-realtime-dpm)

for a step from t to s after one from t' to t. The first step has no memory, and the last ends at :math:`\lambda = \infty`,
where half-way does not exist; both are plain DDIM steps. Departure: none; diffusers' ``DPMSolverMultistepScheduler`` gives
the same numbers.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from companion.diffusion.ddim import ddim_step
from companion.diffusion.paths import Path, Time, Times, check_towards_data, for_each, log_ratio, time_pairs
from companion.diffusion.prediction import Denoiser, to_prediction, widened_state
from companion.validate import Finite, checked


@checked
def half_way(
    path: Path,
    now: Float[Tensor, "n *axes"],
    before: Float[Tensor, "n *axes"],
    t_before: Time | Shaped[Tensor, "n"],
    t: Time | Shaped[Tensor, "n"],
    s: Time | Shaped[Tensor, "n"],
) -> Float[Tensor, "n *axes"]:
    """The data half-way from t to s, on the line through their predictions at ``t_before`` and t (eq-realtime-line)."""
    t_before, t, s = (for_each(time, now) for time in (t_before, t, s))
    check_towards_data(path, t_before, t)
    check_towards_data(path, t, s)
    lambda_before, lambda_t, lambda_s = (log_ratio(path, time, now) for time in (t_before, t, s))
    return now + (lambda_s - lambda_t) / (2 * (lambda_t - lambda_before)) * (now - before)


@torch.no_grad()
@checked
def dpm_sample(denoiser: Denoiser, path: Path, x: Finite[Tensor, "n ..."], times: Times) -> Float[Tensor, "n ..."]:
    """From noise at the first time to data (eq-realtime-dpm); ``times`` as for `companion.diffusion.ddim.ddim_sample`."""
    before: tuple[Tensor, Tensor] | None = None
    dtype, (denoiser, x) = x.dtype, widened_state(denoiser, path, x)
    for t, s in time_pairs(path, times, x):
        prediction = denoiser(x, t)
        now = prediction.x0
        if before is not None and not bool((s == path.data).all()):
            line = half_way(path, now, before[0], before[1], t, s)
            prediction = to_prediction(path, "x0", x, t, line)
        x, before = ddim_step(path, prediction, t, s), (now, t)
    return x.to(dtype)
