"""The tries of the chapter on history: a draw that a gradient passes, two letters in a row, data under noise."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def draw(mean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """A Gaussian draw whose randomness comes from outside."""
    return mean + sigma * noise


def log_p(first: Tensor, second: Tensor, letters: Tensor) -> Tensor:
    """log p of two letters in a row, shape (n, 2), from the logits of the first and of the second given the first."""
    rows = torch.arange(len(letters))
    return first.log_softmax(1)[rows, letters[:, 0]] + second.log_softmax(1)[rows, letters[:, 1]]


def noisy(x: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Data of which the share ``kept`` of the variance is left, the rest noise."""
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def _draws(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(n, d, generator=g), 0.2 + torch.rand(n, d, generator=g) / 2, torch.randn(n, d, generator=g))
            for n, d in ((3, 2), (2, 5))]  # fmt: skip


def _letters(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (*(2 * torch.randn(2, n, v, generator=g)), torch.randint(v, (n, 2), generator=g)) for n, v in ((4, 5), (6, 3))
    ]


def _noised(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (*torch.randn(2, n, d, generator=g), 0.2 + 0.2 * torch.rand(n, 1, generator=g)) for n, d in ((3, 2), (4, 3))
    ]


TRIES = (
    Try(
        "3.2-history-1", "draw(mean, sigma, noise)", draw, _draws,
        {
            "the variance in sigma's place": lambda m, s, e: m + s**2 * e,
            "the noise is not scaled": lambda m, s, e: m + e,
            "the mean is scaled too": lambda m, s, e: s * (m + e),
            "the mean is left out": lambda m, s, e: s * e,
        },
    ),
    Try(
        "3.2-history-2", "log_p(first, second, letters)", log_p, _letters,
        {
            "only the second letter": lambda a, b, x: b.log_softmax(1).gather(1, x[:, 1:])[:, 0],
            "the logits are not normalised":
                lambda a, b, x: a.gather(1, x[:, :1])[:, 0] + b.gather(1, x[:, 1:])[:, 0],
            "the letters are exchanged": lambda a, b, x: log_p(a, b, x.flip(1)),
            "the probability, not its logarithm": lambda a, b, x: log_p(a, b, x).exp(),
        },
    ),
    Try(
        "3.2-history-3", "noisy(x, noise, kept)", noisy, _noised,
        {
            "no square roots: the variance does not stay": lambda x, e, k: k * x + (1 - k) * e,
            "data and noise are exchanged": lambda x, e, k: noisy(e, x, k),
            "data are kept in full": lambda x, e, k: x + (1 - k).sqrt() * e,
            "the noise alone": lambda x, e, k: (1 - k).sqrt() * e,
        },
    ),
)  # fmt: skip
