"""What a stacked picture shows: one opinion for each colour, by the course's judge of digits or by the nearest known digit."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.data.sets import ImageSet
from companion.data.stacked import COLOURS, channels, enlarged, mode_number
from companion.metrics.digit_judge import judge_features, opinion
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


@torch.no_grad()
@checked
def features(images: Finite[Tensor, "n 3 16 16"]) -> Float[Tensor, "n 192"]:
    """The judge's features of the three colours, in a row: what `companion.metrics.precision_recall` compares."""
    return judge_features(grey(images)).reshape(len(images), -1)


@torch.no_grad()
@checked
def read_nearest(images: Finite[Tensor, "n 3 h w"], known: ImageSet) -> Int[Tensor, "n"]:
    """The mode of each picture if every colour is taken for the nearest of the known digits, as grey and as large as it.

    Every picture has a nearest digit, a scribble too: beside such a count the quality of the pictures has to stand.
    """
    if images.shape[2:] != known.images.shape[2:]:
        got, want = ("×".join(map(str, x.shape[2:])) for x in (images, known.images))
        raise ValueError(f"images: got {got} pixels, wanted {want}, as the known digits have")
    reference = known.images.flatten(1).to(images)
    nearest = [torch.cdist(part, reference).argmin(1) for part in channels(images).flatten(1).split(2_000)]
    return mode_number(known.labels.to(images.device)[torch.cat(nearest)].reshape(-1, COLOURS))
