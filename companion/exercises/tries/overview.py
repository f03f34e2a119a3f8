"""The tries of the chapter's overview: letters counted, a text measured in bits, a step of a flow."""

import math

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def blend(count: Tensor, total: Tensor, kinds: Tensor, shorter: Tensor) -> Tensor:
    """The chance of each letter after a context, from its counts and from the chances after a shorter one."""
    return (count + kinds * shorter) / (total + kinds)


def bits_per_letter(chances: Tensor) -> Tensor:
    """The mean number of bits, from the chance that the model gave to each letter."""
    return -chances.log2().mean()


def move(x: Tensor, velocity: Tensor, h: float) -> Tensor:
    """Where points are after a time h, if they move at this velocity."""
    return x + h * velocity


def _counts(g: Generator) -> list[tuple[Tensor, ...]]:
    found = []
    for letters in (4, 7):
        count = torch.randint(4, (letters,), generator=g).double()
        count[:3] = torch.tensor([5.0, 1.0, 0.0])
        shorter = torch.randn(letters, generator=g).double().softmax(0)
        found.append((count, count.sum(), (count > 0).sum(), shorter))
    return found


def _texts(g: Generator) -> list[tuple[Tensor]]:
    return [(0.05 + 0.4 * torch.rand(n, generator=g),) for n in (5, 9)]


def _points(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, n, d, generator=g), h) for n, d, h in ((3, 2, 0.05), (2, 4, 0.2))]


TRIES = (
    Try(
        "3.1-overview-1", "blend(count, total, kinds, shorter)", blend, _counts,
        {
            "the counts alone: a new letter is impossible": lambda n, t, k, p: n / t,
            "divided by total alone: the sum is above 1": lambda n, t, k, p: (n + k * p) / t,
            "half of each, however much was counted": lambda n, t, k, p: (n / t + p) / 2,
            "the shorter context weighs 1, not kinds": lambda n, t, k, p: (n + p) / (t + 1),
        },
    ),
    Try(
        "3.1-overview-2", "bits_per_letter(chances)", bits_per_letter, _texts,
        {
            "nats, not bits": lambda p: -p.log().mean(),
            "the sign": lambda p: p.log2().mean(),
            "the sum, not the mean": lambda p: -p.log2().sum(),
            "the logarithm of the mean, not the mean of the logarithms": lambda p: -p.mean().log() / math.log(2),
        },
    ),
    Try(
        "3.1-overview-3", "move(x, velocity, h)", move, _points,
        {
            "the whole way: h is left out": lambda x, v, h: x + v,
            "backwards": lambda x, v, h: x - h * v,
            "where it starts is lost": lambda x, v, h: h * v,
            "a mean of point and velocity": lambda x, v, h: (1 - h) * x + h * v,
        },
    ),
)  # fmt: skip
