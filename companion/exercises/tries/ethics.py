"""The tries of the chapter on ethics: the area under a ROC curve, what an alarm is worth, sharpened shares."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.exercises.tries import Try


def area(fake: Float[Tensor, "n"], real: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    """The chance that a random fake scores higher than a random real picture; a tie counts one half."""
    higher, ties = fake[:, None] > real, fake[:, None] == real
    return (higher + ties / 2).double().mean()


def right(power: float, false_alarm: float, base_rate: float) -> float:
    """The chance that an alarm is right (eq-ethics-bayes)."""
    caught, accused = base_rate * power, (1 - base_rate) * false_alarm
    return caught / (caught + accused)


def sharpen(p: Float[Tensor, "options"], gamma: float) -> Float[Tensor, "options"]:
    """Probabilities to the power gamma, made to sum to one again."""
    return p**gamma / (p**gamma).sum()


def _scores(g: Generator) -> list[tuple[Tensor, Tensor]]:
    """Whole numbers, so that some are ties; the fakes' are higher."""
    return [
        (
            10.0 * torch.randint(2, 9, (n,), generator=g),
            10.0 * torch.cat([torch.randint(7, (m,), generator=g), torch.arange(9)]),
        )
        for n, m in ((6, 5), (9, 4))
    ]


def _rates(g: Generator) -> list[tuple[float, float, float]]:
    return [(0.7 + 0.25 * x[0], 0.02 + 0.1 * x[1], 0.05 + 0.3 * x[2]) for x in torch.rand(3, 3, generator=g).tolist()]


def _options(g: Generator) -> list[tuple[Tensor, float]]:
    return [(torch.randn(n, generator=g).softmax(-1), gamma) for n, gamma in ((2, 2.0), (4, 3.0), (3, 0.5))]


TRIES = (
    Try(
        "3.9-ethics-1", "area(fake, real)", area, _scores,
        {
            "a tie counts nothing": lambda f, r: (f[:, None] > r).double().mean(),
            "a tie counts as a win": lambda f, r: (f[:, None] >= r).double().mean(),
            "fake and real are exchanged": lambda f, r: area(r, f),
            "the difference of the means": lambda f, r: (f.mean() - r.mean()).double(),
            "the number of pairs, not their share": lambda f, r: area(f, r) * len(f) * len(r),
        },
    ),
    Try(
        "3.9-ethics-2", "right(power, false_alarm, base_rate)", right, _rates,
        {
            "the share of fakes that are caught: the other way round": lambda b, a, p: b,
            "the base rate is ignored": lambda b, a, p: b / (b + a),
            "of all pictures, not of the real ones": lambda b, a, p: p * b / (p * b + a),
            "how often there is an alarm": lambda b, a, p: p * b + (1 - p) * a,
            "the chance that it is wrong": lambda b, a, p: 1 - right(b, a, p),
        },
    ),
    Try(
        "3.9-ethics-3", "sharpen(p, gamma)", sharpen, _options,
        {
            "they do not sum to one": lambda p, c: p**c,
            "made flatter: gamma is no temperature": lambda p, c: sharpen(p, 1 / c),
            "the probabilities taken for logits": lambda p, c: (c * p).softmax(-1),
            "multiplied, not raised to a power": lambda p, c: c * p,
        },
    ),
)  # fmt: skip
