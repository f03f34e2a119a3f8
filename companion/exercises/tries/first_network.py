"""The tries of the lesson on a first network: the loss, a gradient by hand, a step, a hidden layer."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try
from companion.foundations.first_network import mean_squared_error


def loss(predicted: Tensor, measured: Tensor) -> Tensor:
    """The mean of the squared errors."""
    return mean_squared_error(predicted, measured)


def slope(a: Tensor, c: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The derivative of the loss of the line a x + c by a."""
    return (2 * (a * x + c - y) * x).mean()


def step(parameter: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """Where a parameter goes in a step downhill."""
    return parameter - rate * gradient


def network(x: Tensor, w: Tensor, b: Tensor, v: Tensor, c: Tensor) -> Tensor:
    """A curve of as many bends as w has numbers."""
    return torch.tanh(x * w + b) @ v + c


def _pairs(g: Generator) -> list[tuple[Tensor, ...]]:
    found = []
    for n in (3, 6):  # too high and too low by turns, so that errors with their signs are not their sizes
        measured, off = torch.randn(n, 1, generator=g), 0.2 + torch.rand(n, 1, generator=g)
        off[::2] *= -1
        found.append((measured + off, measured))
    return found


def _lines(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(*torch.randn(2, generator=g), *torch.randn(2, n, 1, generator=g)) for n in (3, 6)]


def _steps(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(torch.randn(n, generator=g), torch.randn(n, generator=g), rate) for n, rate in ((1, 0.1), (4, 0.5))]


def _layers(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (torch.randn(n, 1, generator=g), *torch.randn(3, hidden, generator=g), torch.randn(1, generator=g))
        for n, hidden in ((4, 3), (2, 5))
    ]


TRIES = (
    Try(
        "3.3-first-1", "loss(predicted, measured)", loss, _pairs,
        {
            "the errors are not squared": lambda p, m: (p - m).mean(),
            "the sum, not the mean": lambda p, m: (p - m).square().sum(),
            "the absolute errors, not the squared ones": lambda p, m: (p - m).abs().mean(),
            "the square of the mean, not the mean of the squares": lambda p, m: (p - m).mean().square(),
        },
    ),
    Try(
        "3.3-first-2", "slope(a, c, x, y)", slope, _lines,
        {
            "the factor 2 of the square": lambda a, c, x, y: slope(a, c, x, y) / 2,
            "the derivative by c: the chain rule's factor x is missing": lambda a, c, x, y: 2 * (a * x + c - y).mean(),
            "measured minus predicted: the sign": lambda a, c, x, y: -slope(a, c, x, y),
            "the mean of the errors times the mean of x": lambda a, c, x, y: 2 * (a * x + c - y).mean() * x.mean(),
        },
    ),
    Try(
        "3.3-first-3", "step(parameter, gradient, rate)", step, _steps,
        {
            "uphill: the gradient points to where the loss grows": lambda p, g, r: p + r * g,
            "the parameter itself is forgotten": lambda p, g, r: -r * g,
            "the whole gradient, without the rate": lambda p, g, r: p - g,
        },
    ),
    Try(
        "3.3-first-4", "network(x, w, b, v, c)", network, _layers,
        {
            "no bend: the hyperbolic tangent is missing": lambda x, w, b, v, c: (x * w + b) @ v + c,
            "the shift b stands outside the bend": lambda x, w, b, v, c: (torch.tanh(x * w) + b) @ v + c,
            "the bends are averaged without their weights v": lambda x, w, b, v, c: torch.tanh(x * w + b).mean(1) + c,
            "the height c of the whole curve is missing": lambda x, w, b, v, c: torch.tanh(x * w + b) @ v,
        },
    ),
)  # fmt: skip
