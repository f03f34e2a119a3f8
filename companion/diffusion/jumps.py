r"""Deterministic steps from noise to data with a network that guesses the data: what fast samplers have in common.

Write :math:`\alpha_t = \sqrt{\bar\alpha_t}` and :math:`\sigma_t = \sqrt{1 - \bar\alpha_t}` for the shares of picture and
noise at step t; step -1 is the data: :math:`\alpha = 1`, :math:`\sigma = 0`. With the guess :math:`\hat x_0` at x_t, DDIM's
step without fresh noise (Song, Meng & Ermon, arXiv:2010.02502) keeps the guess and the noise that it implies, and mixes them
anew:

- :math:`x_s = \alpha_s\, \hat x_0 + \frac{\sigma_s}{\sigma_t} (x_t - \alpha_t\, \hat x_0)` (eq-realtime-jump)

It is one Euler step of an ordinary differential equation, so its error falls with the first power of the number of steps. For
data that are N(0, v) the best guess is known, and so is where the equation leads: x_t is multiplied by
:math:`\sqrt{(\alpha_s^2 v + \sigma_s^2) / (\alpha_t^2 v + \sigma_t^2)}` (eq-realtime-gaussian).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.ddim import strided
from companion.diffusion.ddpm import NoiseSchedule
from companion.diffusion.guidance import guided
from companion.diffusion.parameterisation import LabelledNet, data_and_noise
from companion.validate import check_float, check_number, check_shapes

# guess(x_t, t): noisy data (n, ...) and one step each (n) to the data that it thinks is behind them.
Guess = Callable[[Tensor, Tensor], Tensor]


def as_guess(
    net: LabelledNet,
    labels: Int[Tensor, "n"],
    schedule: NoiseSchedule,
    *,
    scale: float = 1.0,
    prediction: str = "v",
    clip: float | None = None,
    no_label: int = 10,
) -> Guess:
    """A network with labels as a function that guesses the data; guided if ``scale`` is not 1, clipped if asked for."""
    answer = guided(net, labels, scale, no_label=no_label)

    def guess(x_t: Tensor, t: Tensor) -> Tensor:
        x0, _ = data_and_noise(schedule, prediction, x_t, t, answer(x_t, t))
        return x0 if clip is None else x0.clamp(-clip, clip)

    return guess


def shares(schedule: NoiseSchedule, t: Int[Tensor, "n"], like: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of picture and noise at each example's step, shaped to multiply it; (1, 0) at step -1."""
    bar = torch.cat([schedule.alpha_bar, schedule.alpha_bar.new_ones(1)]).to(like.device)[t]  # index -1 is the last
    shape = (-1, *[1] * (like.ndim - 1))
    return bar.sqrt().to(like.dtype).reshape(shape), (1 - bar).sqrt().to(like.dtype).reshape(shape)


def jump(
    schedule: NoiseSchedule,
    x_t: Float[Tensor, "n ..."],
    x0: Float[Tensor, "n ..."],
    t: Int[Tensor, "n"],
    s: Int[Tensor, "n"],
) -> Float[Tensor, "n ..."]:
    """The deterministic step from t to s, each example its own (eq-realtime-jump); s = -1 is the data."""
    check_steps(schedule, x_t, t, s)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = shares(schedule, t, x_t), shares(schedule, s, x_t)
    return alpha_s * x0 + sigma_s / sigma_t * (x_t - alpha_t * x0)


@torch.no_grad()
def walk(
    guess: Guess, schedule: NoiseSchedule, x: Float[Tensor, "n ..."], route: Int[Tensor, "n stations"]
) -> Float[Tensor, "n ..."]:
    """Go from each example's first station to its last, a `jump` and one call of ``guess`` between neighbours."""
    check_shapes(route=(route, f"{len(x)} _"))
    for t, s in zip(route.T[:-1], route.T[1:], strict=True):
        x = jump(schedule, x, guess(x, t), t, s)
    return x


def jump_sample(guess: Guess, schedule: NoiseSchedule, x: Float[Tensor, "n ..."], steps: int) -> Float[Tensor, "n ..."]:
    """From noise to data in ``steps`` jumps: `companion.diffusion.ddim.ddim_sample` for a network that guesses data."""
    check_float(x=x)
    route = torch.tensor([*strided(schedule.steps, steps), -1])
    return walk(guess, schedule, x, route.expand(len(x), -1))


def gaussian_guess(schedule: NoiseSchedule, std: float) -> Guess:
    """The best guess if the data are N(0, std²): a closed form to hold samplers and students against."""
    check_number("std", std, low=0, open_low=True)

    def guess(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = shares(schedule, t, x_t)
        return alpha * std**2 / (alpha**2 * std**2 + sigma**2) * x_t

    return guess


def gaussian_factor(schedule: NoiseSchedule, std: float, t: int, s: int = -1) -> float:
    """By how much the exact path from t to s multiplies x_t if the data are N(0, std²) (eq-realtime-gaussian)."""
    check_number("std", std, low=0, open_low=True)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (
        (bar**0.5, (1 - bar) ** 0.5) for bar in (float(schedule.alpha_bar[k]) if k >= 0 else 1.0 for k in (t, s))
    )
    return ((alpha_s**2 * std**2 + sigma_s**2) / (alpha_t**2 * std**2 + sigma_t**2)) ** 0.5


def check_steps(schedule: NoiseSchedule, x_t: Tensor, t: Tensor, s: Tensor) -> None:
    """Raise ``ValueError`` unless every example's s is before its t and both are steps of the schedule."""
    check_shapes(t=(t, f"{len(x_t)}"), s=(s, f"{len(x_t)}"))
    if not (int(s.min()) >= -1 and int(t.max()) < schedule.steps and bool((s < t).all())):
        raise ValueError(
            f"t, s: got steps from {s.min()} to {t.max()}, wanted s < t, s from -1 and t up to {schedule.steps - 1}"
        )
