"""The tries of the lesson on real-time generation: a jump, a line, a student's answer, the residual, rounded weights."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.exercises.tries import Try
from companion.language import speculative

Level = tuple[float, float]  # the shares of picture and noise, alpha and sigma


def jump(x: Float[Tensor, "n d"], x0: Float[Tensor, "n d"], here: Level, there: Level) -> Float[Tensor, "n d"]:
    """One deterministic step: prediction and implied noise in new proportions (eq-realtime-jump)."""
    noise = (x - here[0] * x0) / here[1]
    return there[0] * x0 + there[1] * noise


def line(now: Float[Tensor, "n d"], before: Float[Tensor, "n d"], r: float) -> Float[Tensor, "n d"]:
    """The prediction half-way through the next step, on the line through the last two (eq-realtime-line)."""
    return now + (now - before) / (2 * r)


def answer(x: Float[Tensor, "n d"], arrived: Float[Tensor, "n d"], here: Level, there: Level) -> Float[Tensor, "n d"]:
    """The prediction that leads from x to ``arrived`` in one jump (eq-realtime-distil)."""
    ratio = there[1] / here[1]
    return (arrived - ratio * x) / (there[0] - ratio * here[0])


def residual(p: Float[Tensor, "n vocab"], q: Float[Tensor, "n vocab"]) -> Float[Tensor, "n vocab"]:
    """What a refused token is drawn from (eq-speculative-accept)."""
    return speculative.residual(p, q)


def rounded(w: Float[Tensor, "n"], bits: int) -> Float[Tensor, "n"]:
    """A row of weights as it is after rounding to whole numbers of so many bits (eq-realtime-absmax)."""
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    return step * (w / step).round()


def _levels(g: Generator) -> list[tuple[Level, Level]]:
    a = torch.rand(2, 2, generator=g)
    noisy, clean = (0.2 + 0.3 * a[0]).tolist(), (0.7 + 0.2 * a[1]).tolist()
    return [((n, (1 - n * n) ** 0.5), (c, (1 - c * c) ** 0.5)) for n, c in zip(noisy, clean, strict=True)]


def _steps(g: Generator) -> list[tuple[Tensor, Tensor, Level, Level]]:
    return [(*torch.randn(2, n, 3, generator=g), *levels) for n, levels in zip((2, 4), _levels(g), strict=True)]


def _predictions(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, n, 3, generator=g), r) for n, r in ((2, 0.7), (4, 1.6))]


def _laws(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [tuple(torch.randn(2, n, vocab, generator=g).softmax(-1)) for n, vocab in ((2, 4), (3, 7))]


def _rows(g: Generator) -> list[tuple[Tensor, int]]:
    found = []
    for n, bits in ((8, 3), (12, 4)):
        w = torch.randn(n, generator=g)
        w[0] = -1.7 * w.abs().max()
        found.append((w, bits))
    return found


def _mixed(x: Tensor, x0: Tensor, here: Level, picture: float, noise: float) -> Tensor:
    return jump(x, x0, here, (picture, noise))


def _scaled(w: Tensor, step: Tensor) -> Tensor:
    return step * (w / step).round()


def _down(w: Tensor, bits: int) -> Tensor:
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    return step * (w / step).floor()


TRIES = (
    Try(
        "3.10-realtime-1", "jump(x, x0, here, there)", jump, _steps,
        {
            "all of the noise is kept": lambda x, x0, t, s: _mixed(x, x0, t, s[0], t[1]),
            "the noisy picture in place of the noise": lambda x, x0, t, s: s[0] * x0 + s[1] * x,
            "the noise is not brought to its size": lambda x, x0, t, s: s[0] * x0 + s[1] * (x - t[0] * x0),
            "the whole way to the prediction": lambda x, x0, t, s: x0,
            "the noise is taken off": lambda x, x0, t, s: _mixed(x, x0, t, s[0], -s[1]),
        },
    ),
    Try(
        "3.10-realtime-2", "line(now, before, r)", line, _predictions,
        {
            "back towards the last prediction": lambda now, before, r: line(now, before, -r),
            "to the end of the step, not half-way": lambda now, before, r: line(now, before, r / 2),
            "multiplied by r, not divided": lambda now, before, r: line(now, before, 1 / r),
            "the mean of the two predictions": lambda now, before, r: (now + before) / 2,
        },
    ),
    Try(
        "3.10-realtime-3", "answer(x, arrived, here, there)", answer, _steps,
        {
            "where the teacher arrived, with its noise": lambda x, y, t, s: y,
            "the noise is forgotten": lambda x, y, t, s: y / s[0],
            "not divided": lambda x, y, t, s: y - s[1] / t[1] * x,
            "the ratio is upside down": lambda x, y, t, s: (y - t[1] / s[1] * x) / (s[0] - t[1] / s[1] * t[0]),
        },
    ),
    Try(
        "3.10-realtime-4", "residual(p, q)", residual, _laws,
        {
            "the model's own probabilities: what the draft says often is said too often": lambda p, q: p,
            "it does not sum to one": lambda p, q: (p - q).clamp(min=0),
            "what the draft says too often": lambda p, q: residual(q, p),
            "the distance, in either direction": lambda p, q: (p - q).abs() / (p - q).abs().sum(-1, keepdim=True),
        },
    ),
    Try(
        "3.10-realtime-5", "rounded(w, bits)", rounded, _rows,
        {
            "the whole numbers: not scaled back": lambda w, b: (w / w.abs().max() * (2 ** (b - 1) - 1)).round(),
            "the largest weight, not the largest in size": lambda w, b: _scaled(w, w.max() / (2 ** (b - 1) - 1)),
            "one number too many: 2^(b-1)": lambda w, b: _scaled(w, w.abs().max() / 2 ** (b - 1)),
            "no bit for the sign": lambda w, b: _scaled(w, w.abs().max() / (2**b - 1)),
            "rounded down": _down,
        },
    ),
)  # fmt: skip
