r"""DPM-Solver++(2M): the same passes of the network, but each step also remembers the guess of the step before.

Lu, Zhou, Bao, Chen, Li & Zhu, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022,
arXiv:2211.01095, algorithm 2. Measure time by the log ratio of picture to noise,
:math:`\lambda_t = \log(\alpha_t / \sigma_t)`. If the guess :math:`\hat x_0` did not change along the way, a
`companion.diffusion.jumps.jump` would be exact for a step of any size. It does change; two guesses say how fast, so a straight
line through them tells what it will be half-way through the step:

- :math:`D = \hat x_0(t) + \frac{1}{2 r} \big(\hat x_0(t) - \hat x_0(t')\big), \quad
  r = \frac{\lambda_t - \lambda_{t'}}{\lambda_s - \lambda_t}` (eq-realtime-line)
- :math:`x_s = \alpha_s\, D + \frac{\sigma_s}{\sigma_t} (x_t - \alpha_t\, D)` (eq-realtime-dpm)

for a step from t to s after one from t' to t. Its error falls with the square of the number of steps, and it costs nothing:
no further pass of the network. The first step has no memory, and the last ends at :math:`\lambda = \infty`, where half-way
does not exist; both are plain jumps. Departure: none; diffusers' ``DPMSolverMultistepScheduler`` gives the same numbers.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.ddim import strided
from companion.diffusion.ddpm import NoiseSchedule
from companion.diffusion.jumps import Guess, jump
from companion.validate import check_count, check_float


def log_ratio(schedule: NoiseSchedule, t: int) -> float:
    """λ at step t: the log of picture over noise; infinite at -1, the data."""
    check_count("t", t, low=-1, high=schedule.steps - 1)
    if t == -1:
        return math.inf
    bar = float(schedule.alpha_bar[t])
    return 0.5 * (math.log(bar) - math.log1p(-bar))


def half_way(
    schedule: NoiseSchedule,
    now: Float[Tensor, "n ..."],
    before: Float[Tensor, "n ..."],
    t_before: int,
    t: int,
    s: int,
) -> Float[Tensor, "n ..."]:
    """The guess half-way from t to s, on the line through the guesses at ``t_before`` and t (eq-realtime-line)."""
    if not t_before > t > s >= 0:
        raise ValueError(f"t_before, t, s: got {t_before}, {t}, {s}, wanted falling steps that end above -1")
    last, next_ = (
        log_ratio(schedule, t) - log_ratio(schedule, t_before),
        log_ratio(schedule, s) - log_ratio(schedule, t),
    )
    return now + next_ / (2 * last) * (now - before)


@torch.no_grad()
def dpm_sample(guess: Guess, schedule: NoiseSchedule, x: Float[Tensor, "n ..."], steps: int) -> Float[Tensor, "n ..."]:
    """From noise to data in ``steps`` calls of ``guess`` (eq-realtime-dpm)."""
    check_float(x=x)
    path = [*strided(schedule.steps, steps), -1]
    before: Tensor | None = None
    for i, (t, s) in enumerate(zip(path[:-1], path[1:], strict=True)):
        t_all, s_all = (torch.full((len(x),), step, device=x.device) for step in (t, s))
        now = guess(x, t_all)
        straight = before is None or s == -1
        aim = now if straight else half_way(schedule, now, before, path[i - 1], t, s)
        x, before = jump(schedule, x, aim, t_all, s_all), now
    return x
