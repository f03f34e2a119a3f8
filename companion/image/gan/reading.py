"""What a stacked picture shows, as the course's judge of digits sees it: one opinion for each colour."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.data.stacked import COLOURS, channels, enlarged, mode_number
from companion.metrics.digit_judge import opinion
from companion.validate import Finite, checked

SURE = 0.9


@dataclass(frozen=True)
class Reading:
    """Attributes: ``modes``, the number of each picture's triple; ``sure``, the share of colours with confidence over 0.9."""

    modes: Int[Tensor, "n"]
    sure: float


@checked
def grey(images: Finite[Tensor, "n 3 16 16"]) -> Float[Tensor, "m 1 28 28"]:
    """Every colour as a grey picture of the judge's size, three in a row for each."""
    return channels(enlarged(images))


@torch.no_grad()
@checked
def read(images: Finite[Tensor, "n 3 16 16"]) -> Reading:
    """Ask the judge about each colour."""
    found = opinion(grey(images)).max(1)
    classes = found.indices.reshape(-1, COLOURS)
    return Reading(mode_number(classes), float((found.values > SURE).float().mean()))
