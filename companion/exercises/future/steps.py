"""The check of exercise 3.10.2: a step of a solver with a memory.

The right values come from the solver's other form, the exponential integrator with its step h in the log ratio.
"""

import math

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _levels(g: Generator, last: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shares of picture and of noise at three moments, from noisy to clean."""
    angle = (torch.rand(3, generator=g).double() * 0.35 + torch.tensor([0.95, 0.5, 0.05]).double()).tolist()
    if last:
        angle[2] = 0.0
    return tuple(math.cos(a) for a in angle), tuple(math.sin(a) for a in angle)


def _inputs(g: Generator) -> list[Tensor]:
    shape = sizes(g, 2, low=2)
    return [torch.randn(*shape, generator=g, dtype=torch.float64) for _ in range(3)]


def _integrator(x: Tensor, aim: Tensor, alpha: tuple[float, ...], sigma: tuple[float, ...]) -> Tensor:
    """The step by the integral: exact for an aim that stands still."""
    h = math.log(alpha[2] / sigma[2]) - math.log(alpha[1] / sigma[1])
    return sigma[2] / sigma[1] * x - alpha[2] * math.expm1(-h) * aim


def _memory(now: Tensor, before: Tensor, alpha: tuple[float, ...], sigma: tuple[float, ...]) -> dict[str, Tensor]:
    ratio = [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)]
    last, coming = ratio[1] - ratio[0], ratio[2] - ratio[1]
    signal = [math.log(a) for a in alpha]
    return {
        "right": now + coming / (2 * last) * (now - before),
        "r is upside down": now + last / (2 * coming) * (now - before),
        "the whole step ahead, not half-way": now + coming / last * (now - before),
        "the line runs backwards: before and now are swapped": now - coming / (2 * last) * (now - before),
        "the mean of both guesses": (now + before) / 2,
        "the guess of the step before is not used": now,
        "the log of the picture's share alone": now
        + (signal[2] - signal[1]) / (2 * (signal[1] - signal[0])) * (now - before),
    }


def _still(answer: Answer, g: Generator) -> str:
    x, now, _ = _inputs(g)
    alpha, sigma = _levels(g)
    got = answer.tensor(x, now, now.clone(), alpha, sigma, shape=tuple(x.shape))
    mistakes = {
        "the noise of x is kept at its old size": alpha[2] * now + (x - alpha[1] * now),
        "x and the guess are swapped": _integrator(now, x, alpha, sigma),
        "the moments are swapped: a step back to the noisier one": alpha[0] * now
        + sigma[0] / sigma[1] * (x - alpha[1] * now),
    }
    return compare(got, _integrator(x, now, alpha, sigma), mistakes)


def _general(answer: Answer, g: Generator) -> str:
    said = ""
    for _ in range(3):
        x, now, before = _inputs(g)
        alpha, sigma = _levels(g)
        aims = _memory(now, before, alpha, sigma)
        wanted = _integrator(x, aims.pop("right"), alpha, sigma)
        mistakes = {name: _integrator(x, aim, alpha, sigma) for name, aim in aims.items()}
        said = compare(answer.tensor(x, now, before, alpha, sigma, shape=tuple(x.shape)), wanted, mistakes)
    return said


def _last(answer: Answer, g: Generator) -> str:
    x, now, before = _inputs(g)
    alpha, sigma = _levels(g, last=True)
    result = answer(x, now, before, alpha, sigma)
    if isinstance(result, Tensor) and not torch.isfinite(result).all():
        raise Wrong("the step to the data is not finite", "the log of a division by zero: no noise is left at the end")
    got = answer.tensor(x, now, before, alpha, sigma, shape=tuple(x.shape))
    return compare(got, now, {"the memory is used where half-way does not exist": (3 * now - before) / 2})


EXERCISES = (
    Exercise(
        "3.10.2",
        "solver_step(x, now, before, alpha, sigma)",
        (
            Property("guesses that stand still", 8, _still),
            Property("guesses that move", 11, _general),
            Property("the last step, to the data", 6, _last),
        ),
    ),
)
