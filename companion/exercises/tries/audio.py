"""The tries of the lesson on sound: a frame's frequencies, its bands, the loss of the flow, a step of its solver."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try

Velocity = Callable[..., Tensor]


def loudness(frame: Tensor, window: Tensor) -> Tensor:
    """How strongly a faded frame swings at each frequency: the sizes of eq-stft's numbers."""
    return torch.fft.rfft(frame * window).abs()


def log_bands(loud: Tensor, filters: Tensor, floor: float) -> Tensor:
    """The logarithm of the loudness in each band, from that at each frequency (eq-log-mel)."""
    return (filters @ loud).clamp(min=floor).log()


def flow_loss(model: Velocity, z: Tensor, noise: Tensor, t: Tensor, digit: Tensor) -> Tensor:
    """The mean squared error of the velocity at a point of the line from noise to data (eq-speech-flow)."""
    x = (1 - t[:, None]) * noise + t[:, None] * z
    return (model(x, t, digit) - (z - noise)).square().mean()


def heun(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """A step from t to t + h, with the mean of the velocities at its two ends (eq-audio-heun)."""
    first = velocity(x, t)
    second = velocity(x + h * first, t + h)
    return x + h * (first + second) / 2


def a_model(x: Tensor, t: Tensor, digit: Tensor) -> Tensor:
    """Some function of all its arguments, for the check."""
    return torch.sin(x + digit[:, None]) * (1 + t[:, None])


def a_velocity(x: Tensor, t: float) -> Tensor:
    """Some function of both its arguments, for the check."""
    return torch.sin(2 * x) + t * x


def _frames(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(n, size, generator=g), torch.hann_window(size)) for n, size in ((2, 8), (3, 16))]


def _bands(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    found = []
    for bands, frequencies, frames in ((3, 5, 4), (2, 6, 3)):
        loud = 0.5 + torch.rand(frequencies, frames, generator=g)
        loud[:, 0] = 1e-3  # a silent frame
        found.append((loud, 0.1 + torch.rand(bands, frequencies, generator=g), 0.05))
    return found


def _examples(g: Generator) -> list[tuple[Velocity | Tensor, ...]]:
    return [
        (
            a_model,
            *torch.randn(2, n, d, generator=g),
            0.2 + 0.2 * torch.rand(n, generator=g),
            torch.randint(10, (n,), generator=g),
        )
        for n, d in ((3, 4), (5, 2))
    ]


def _steps(g: Generator) -> list[tuple[Velocity, Tensor, float, float]]:
    return [(a_velocity, torch.randn(n, 3, generator=g), t, h) for n, t, h in ((2, 0.2, 0.3), (4, 0.5, 0.4))]


TRIES = (
    Try(
        "3.1-audio-1", "loudness(frame, window)", loudness, _frames,
        {
            "the frame is not faded: its ends click": lambda x, w: torch.fft.rfft(x).abs(),
            "every frequency twice: fft, not rfft": lambda x, w: torch.fft.fft(x * w).abs(),
            "the square of the size": lambda x, w: loudness(x, w).square(),
            "the real part, not the size": lambda x, w: torch.fft.rfft(x * w).real,
        },
    ),
    Try(
        "3.1-audio-2", "log_bands(loud, filters, floor)", log_bands, _bands,
        {
            "the logarithm before the bands": lambda s, f, e: f @ s.clamp(min=e).log(),
            "without the floor": lambda s, f, e: (f @ s).log(),
            "the floor after the logarithm": lambda s, f, e: (f @ s).log().clamp(min=e),
            "the squares are collected": lambda s, f, e: log_bands(s.square(), f, e),
        },
    ),
    Try(
        "3.1-audio-3", "flow_loss(model, z, noise, t, digit)", flow_loss, _examples,
        {
            "time runs the other way: data at 0": lambda m, z, e, t, d: (
                (m(t[:, None] * e + (1 - t[:, None]) * z, t, d) - (z - e)).square().mean()
            ),
            "the target is the data, not the direction": lambda m, z, e, t, d: (
                (m((1 - t[:, None]) * e + t[:, None] * z, t, d) - z).square().mean()
            ),
            "the direction is reversed": lambda m, z, e, t, d: (
                (m((1 - t[:, None]) * e + t[:, None] * z, t, d) - (e - z)).square().mean()
            ),
            "the network sees the clean data": lambda m, z, e, t, d: (m(z, t, d) - (z - e)).square().mean(),
        },
    ),
    Try(
        "3.1-audio-4", "heun(velocity, x, t, h)", heun, _steps,
        {
            "the first velocity alone: Euler's step": lambda v, x, t, h: x + h * v(x, t),
            "the second velocity alone": lambda v, x, t, h: x + h * v(x + h * v(x, t), t + h),
            "the sum of the two, not their mean": lambda v, x, t, h: x + h * (v(x, t) + v(x + h * v(x, t), t + h)),
            "the second velocity at the first point": lambda v, x, t, h: x + h * (v(x, t) + v(x, t + h)) / 2,
        },
    ),
)  # fmt: skip
