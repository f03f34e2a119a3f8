"""The tries of the chapter on images: noise taken back, and guidance."""

import torch
from torch import Generator, Tensor

from companion.diffusion.guidance import guide
from companion.exercises.tries import Try


def undo(x_t: Tensor, eps: Tensor, bar: float) -> Tensor:
    """The picture in x_t, for who knows the noise (eq-image-forward, turned around)."""
    return (x_t - (1 - bar) ** 0.5 * eps) / bar**0.5


def further(without: Tensor, told: Tensor, w: float) -> Tensor:
    """Guidance (eq-image-cfg)."""
    return guide(without, told, w)


def _noisy(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, n, 4, generator=g), bar) for n, bar in ((1, 0.8), (3, 0.3))]


def _answers(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, n, 4, generator=g), w) for n, w in ((2, 0.5), (1, 2.5), (3, 4.0))]


TRIES = (
    Try(
        "3.6-image-1", "undo(x_t, eps, bar)", undo, _noisy,
        {
            "the roots are missing": lambda x, e, bar: (x - (1 - bar) * e) / bar,
            "not divided by the factor of the picture": lambda x, e, bar: x - (1 - bar) ** 0.5 * e,
            "the noise is added, not taken away": lambda x, e, bar: undo(x, -e, bar),
            "the noise without its factor": lambda x, e, bar: (x - e) / bar**0.5,
        },
    ),
    Try(
        "3.6-image-2", "further(without, told, w)", further, _answers,
        {
            "from the answer with the label: no guidance would be w = 0, as in the paper":
                lambda without, told, w: told + w * (told - without),
            "with and without are exchanged": lambda without, told, w: further(told, without, w),
            "the answer without the label is forgotten": lambda without, told, w: w * (told - without),
        },
    ),
)  # fmt: skip
