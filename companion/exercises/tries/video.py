"""The tries of the chapter on films: how much a film is, and how far it jumps."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def numbers(seconds: int, rate: int, rows: int, columns: int) -> int:
    """How many numbers a film in colour is."""
    return seconds * rate * rows * columns * 3


def jump(paths: Tensor) -> Tensor:
    """How far each path, (films, frames, 2), goes from its fourth frame to its fifth."""
    return (paths[:, 4] - paths[:, 3]).norm(dim=-1)


def _sizes(g: Generator) -> list[tuple[int, ...]]:
    return [tuple(torch.randint(2, 50, (4,), generator=g).tolist()) for _ in range(3)]


def _paths(g: Generator) -> list[tuple[Tensor]]:
    return [(5 * torch.randn(n, 8, 2, generator=g),) for n in (2, 5)]


TRIES = (
    Try(
        "3.7-video-1", "numbers(seconds, rate, rows, columns)", numbers, _sizes,
        {
            "one colour, not three": lambda s, r, h, w: s * r * h * w,
            "one picture, not the film": lambda s, r, h, w: h * w * 3,
            "one picture a second": lambda s, r, h, w: s * h * w * 3,
            "the pictures alone": lambda s, r, h, w: s * r,
        },
    ),
    Try(
        "3.7-video-2", "jump(paths)", jump, _paths,
        {
            "one frame too late: Python counts from 0": lambda p: (p[:, 5] - p[:, 4]).norm(dim=-1),
            "one frame too early": lambda p: (p[:, 3] - p[:, 2]).norm(dim=-1),
            "rows and columns added, not a length": lambda p: (p[:, 4] - p[:, 3]).abs().sum(-1),
            "the square of the length": lambda p: (p[:, 4] - p[:, 3]).square().sum(-1),
        },
    ),
)  # fmt: skip
