"""The tries of the lesson on bias: standard errors from a coin, amplification, guidance of shares, weights."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.exercises.tries import Try


def away(k: int, n: int, p: float) -> float:
    """How many standard errors the share k/n lies from what a coin of bias p gives on average."""
    return (k / n - p) / math.sqrt(p * (1 - p) / n)


def amplified(data: Float[Tensor, "classes"], drawn: Float[Tensor, "classes"]) -> Float[Tensor, ""]:
    """How much further majorities are in what was drawn than in the data (eq-bias-amplification)."""
    return ((data - 0.5).sign() * (drawn - data)).mean()


def under_guidance(shares: Float[Tensor, "classes"], overall: float, w: float) -> Float[Tensor, "classes"]:
    """The share of each class under guidance w, from those of the data (eq-bias-guidance)."""
    odds = (shares / (1 - shares)) ** w / (overall / (1 - overall)) ** (w - 1)
    return odds / (1 + odds)


def weights(counts: Float[Tensor, "classes 2"]) -> Float[Tensor, "classes 2"]:
    """The weight of an example of each class and ink that makes the two independent (eq-bias-weights)."""
    return counts.sum(1, keepdim=True) * counts.sum(0) / (counts * counts.sum())


def _coins(g: Generator) -> list[tuple[int, int, float]]:
    found = []
    for n in (40, 150):
        k = n // 10 + int(torch.randint(n // 10, (), generator=g))
        found.append((k, n, 0.3 + 0.15 * float(torch.rand((), generator=g))))
    return found


def _shares(g: Generator) -> list[tuple[Tensor, Tensor]]:
    """In one class the majority changes sides."""
    data, drawn = torch.tensor([0.2, 0.3, 0.42, 0.7, 0.85]), torch.tensor([0.05, 0.25, 0.62, 0.9, 0.7])
    return [(data, drawn + 0.04 * torch.rand(5, generator=g)) for _ in range(2)]


def _classes(g: Generator) -> list[tuple[Tensor, float, float]]:
    return [(0.1 + 0.8 * torch.rand(n, generator=g), overall, w) for n, overall, w in ((3, 0.7, 3.0), (5, 0.35, 2.0))]


def _counts(g: Generator) -> list[tuple[Tensor]]:
    return [(torch.randint(2, 40, (n, 2), generator=g) + 9.0 * torch.arange(2 * n).view(n, 2),) for n in (3, 4)]


def _average_to_w(shares: Tensor, overall: float, w: float) -> Tensor:
    odds = (shares / (1 - shares) * (1 - overall) / overall) ** w
    return odds / (1 + odds)


TRIES = (
    Try(
        "3.9-bias-1", "away(k, n, p)", away, _coins,
        {
            "the standard error at k/n, not at p": lambda k, n, p: (k / n - p) / math.sqrt(k / n * (1 - k / n) / n),
            "the spread of a single coin: n is missing": lambda k, n, p: (k / n - p) / math.sqrt(p * (1 - p)),
            "divided by the variance: the root is missing": lambda k, n, p: (k / n - p) / (p * (1 - p) / n),
            "a count and a share are compared": lambda k, n, p: (k - p) / math.sqrt(p * (1 - p) / n),
        },
    ),
    Try(
        "3.9-bias-2", "amplified(data, drawn)", amplified, _shares,
        {
            "without the sign: is there more blue?": lambda s, d: (d - s).mean(),
            "the distance, in either direction": lambda s, d: (d - s).abs().mean(),
            "the majority of what was drawn, not of the data": lambda s, d: ((d - 0.5).sign() * (d - s)).mean(),
            "the sum, not the mean": lambda s, d: amplified(s, d) * len(s),
        },
    ),
    Try(
        "3.9-bias-3", "under_guidance(shares, overall, w)", under_guidance, _classes,
        {
            "the odds, not the share": lambda s, o, w: under_guidance(s, o, w) / (1 - under_guidance(s, o, w)),
            "the average is forgotten": lambda s, o, w: under_guidance(s, 0.5, w),
            "shares to a power, not odds": lambda s, o, w: s**w / o ** (w - 1),
            "the average to the power w, too": _average_to_w,
        },
    ),
    Try(
        "3.9-bias-4", "weights(counts)", weights, _counts,
        {
            "upside down: what is frequent counts more": lambda c: 1 / weights(c),
            "every cell is made as large: the digits lose their own frequencies":
                lambda c: c.sum() / (c * c.numel()),
            "each digit is made half blue, whatever the whole": lambda c: c.sum(1, keepdim=True) / (2 * c),
            "the class's own share is missing": lambda c: c.sum(0) / c,
        },
    ),
)  # fmt: skip
