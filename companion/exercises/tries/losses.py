"""The tries of the lesson on losses: a divergence, both players' losses, the denoising loss, a line and its direction."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from companion.exercises.tries import Try

Score = Callable[[Tensor, Tensor], Tensor]


def kl(a: Tensor, b: Tensor) -> Tensor:
    """KL(a || b) of probabilities along the last axis, in nats."""
    return (a * (a / b).log()).sum(-1)


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss, from the probabilities of being real that it gives to real and to generated points."""
    return -real.log().mean() - (1 - fake).log().mean()


def fool(logits: Tensor) -> Tensor:
    """The generator's non-saturating loss, from the discriminator's logits for its points."""
    return F.softplus(-logits).mean()


def denoising(score: Score, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """The denoising score matching loss: from a noisy point, point back."""
    predicted = score(x + sigma * noise, sigma)
    return (sigma * predicted + noise).square().sum(1).mean()


def line(z: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The point at time t on the straight line from noise to data, and the direction of travel there."""
    return (1 - t) * z + t * x, x - z


def a_score(x: Tensor, sigma: Tensor) -> Tensor:
    """Some function of both arguments, for the check."""
    return torch.sin(x) / (1 + sigma)


def _laws(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [tuple(torch.randn(2, rows, n, generator=g).softmax(-1)) for rows, n in ((1, 4), (3, 6))]


def _judgements(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(0.3 + 0.6 * torch.rand(n, generator=g), 0.1 + 0.3 * torch.rand(n, generator=g)) for n in (3, 7)]


def _logits(g: Generator) -> list[tuple[Tensor]]:
    return [(torch.randn(n, generator=g) - shift,) for n, shift in ((4, 0.5), (6, 3.0))]


def _noisy(g: Generator) -> list[tuple[Score | Tensor, ...]]:
    return [
        (a_score, torch.randn(n, d, generator=g), 0.2 + torch.rand(n, 1, generator=g), torch.randn(n, d, generator=g))
        for n, d in ((4, 2), (6, 3))
    ]


def _lines(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(*torch.randn(2, n, d, generator=g), torch.rand(n, 1, generator=g)) for n, d in ((3, 2), (5, 4))]


TRIES = (
    Try(
        "3.3-losses-1", "kl(a, b)", kl, _laws,
        {
            "the other direction: averaged over b": lambda a, b: kl(b, a),
            "the sign: b over a": lambda a, b: -kl(a, b),
            "not weighted by a": lambda a, b: (a / b).log().sum(-1),
            "one number for all rows": lambda a, b: kl(a, b).sum(),
        },
    ),
    Try(
        "3.3-losses-2", "told_apart(real, fake)", told_apart, _judgements,
        {
            "the sign: this is the value that D raises": lambda r, f: -told_apart(r, f),
            "fakes are called real: 1 - fake is missing": lambda r, f: -r.log().mean() - f.log().mean(),
            "real and fake are swapped": lambda r, f: told_apart(f, r),
            "without the logarithms": lambda r, f: -r.mean() - (1 - f).mean(),
        },
    ),
    Try(
        "3.3-losses-3", "fool(logits)", fool, _logits,
        {
            "the minimax loss: its gradient vanishes where D is sure": lambda a: -F.softplus(a).mean(),
            "the sign": lambda a: -fool(a),
            "the sum, not the mean": lambda a: fool(a) * len(a),
            "logits taken for probabilities of the other class": lambda a: F.softplus(a).mean(),
        },
    ),
    Try(
        "3.3-losses-4", "denoising(score, x, sigma, noise)", denoising, _noisy,
        {
            "the sign: the score points back, against the noise":
                lambda f, x, s, e: (s * f(x + s * e, s) - e).square().sum(1).mean(),
            "the score is asked at the clean point": lambda f, x, s, e: (s * f(x, s) + e).square().sum(1).mean(),
            "the noise is not scaled by sigma": lambda f, x, s, e: (s * f(x + e, s) + e).square().sum(1).mean(),
            "the mean over the coordinates, not the sum":
                lambda f, x, s, e: (s * f(x + s * e, s) + e).square().mean(),
        },
    ),
    Try(
        "3.3-losses-5", "line(z, x, t)", line, _lines,
        {
            "time runs the other way": lambda z, x, t: (t * z + (1 - t) * x, z - x),
            "the direction is reversed": lambda z, x, t: (line(z, x, t)[0], z - x),
            "the destination, not the direction": lambda z, x, t: (line(z, x, t)[0], x),
            "data and noise are added in full": lambda z, x, t: (z + t * x, x - z),
        },
    ),
)  # fmt: skip
