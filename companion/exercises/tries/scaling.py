"""The tries of the chapter on scaling: the operations of a training, a growth a year, the law, bits for a character."""

import math

import torch
from torch import Generator

from companion.exercises.tries import Try
from companion.scaling.flops import six_nd


def operations(parameters: float, tokens: float) -> float:
    """The operations of a training by the rule."""
    return six_nd(parameters, tokens)


def a_year(months: float) -> float:
    """By what factor something grows in a year that doubles in so many months."""
    return 2 ** (12 / months)


def loss(n: float, d: float, floor: float, a: float, alpha: float, b: float, beta: float) -> float:
    """What the law says for n parameters and d tokens."""
    return floor + a / n**alpha + b / d**beta


def bits_for_character(nats: float, tokens: int, characters: int) -> float:
    """Bits for a character, from the nats for a token and how many tokens and characters there are."""
    return nats * tokens / math.log(2) / characters


def _between(g: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=g, dtype=torch.float64))


def _trainings(g: Generator) -> list[tuple[float, float]]:
    return [(float(n) * _between(g, 1, 9), float(d) * _between(g, 1, 9)) for n, d in ((1e3, 1e6), (1e9, 1e11))]


def _months(g: Generator) -> list[tuple[float]]:
    return [(_between(g, 5, 8),), (_between(g, 20, 30),)]


def _laws(g: Generator) -> list[tuple[float, ...]]:
    return [
        (1e8 * _between(g, 1, 9), 1e9 * _between(g, 1, 9), _between(g, 1.5, 2), *constants)
        for constants in ((_between(g, 300, 500), 0.35, _between(g, 1e3, 2e3), 0.3), (200.0, 0.3, 500.0, 0.4))
    ]


def _texts(g: Generator) -> list[tuple[float, int, int]]:
    return [
        (_between(g, 3, 5), int(_between(g, 200, 300)), int(_between(g, 800, 999))),
        (_between(g, 2, 3), int(_between(g, 20, 30)), int(_between(g, 40, 60))),
    ]


TRIES = (
    Try(
        "3.8-scaling-1", "operations(parameters, tokens)", operations, _trainings,
        {
            "forward only: 2 for each parameter and token": lambda n, d: 2 * n * d,
            "the way back only: 4": lambda n, d: 4 * n * d,
            "a multiplication without its addition: 3": lambda n, d: 3 * n * d,
            "added where it must be multiplied": lambda n, d: 6 * (n + d),
        },
    ),
    Try(
        "3.8-scaling-2", "a_year(months)", a_year, _months,
        {
            "the number of doublings in a year, not the factor": lambda months: 12 / months,
            "years for months: the exponent is upside down": lambda months: 2 ** (months / 12),
            "a halving, not a doubling": lambda months: 0.5 ** (12 / months),
            "twice for each doubling: they are multiplied, not added": lambda months: 2 * 12 / months,
        },
    ),
    Try(
        "3.8-scaling-3", "loss(n, d, floor, a, alpha, b, beta)", loss, _laws,
        {
            "the floor is missing": lambda n, d, e, a, alpha, b, beta: a / n**alpha + b / d**beta,
            "multiplied by the powers: the loss would grow": lambda n, d, e, a, alpha, b, beta: (
                e + a * n**alpha + b * d**beta
            ),
            "parameters and tokens are exchanged": lambda n, d, *rest: loss(d, n, *rest),
            "the two powers are exchanged": lambda n, d, e, a, alpha, b, beta: e + a / n**beta + b / d**alpha,
        },
    ),
    Try(
        "3.8-scaling-4", "bits_for_character(nats, tokens, characters)", bits_for_character, _texts,
        {
            "bits for a token, not for a character": lambda nats, tokens, characters: nats / math.log(2),
            "nats, not bits": lambda nats, tokens, characters: nats * tokens / characters,
            "multiplied by ln 2: a nat is more than a bit": lambda nats, tokens, characters: (
                nats * tokens * math.log(2) / characters
            ),
            "tokens and characters are exchanged": lambda nats, tokens, characters: (
                nats * characters / math.log(2) / tokens
            ),
        },
    ),
)  # fmt: skip
