"""A data set with a planted bias: digits in two inks, with a skew that is known.

Each handwritten digit is painted blue or orange by a coin whose bias depends on the digit: `PLANTED`, from 0.1 blue for the
zeros to 0.9 for the nines, one half over all. Digit and ink stand for an occupation and for an attribute of the people in it;
here no person is measured, the attribute can be read from the pixels without error, and the truth is known to the last coin.
The two inks are blue and orange of Okabe and Ito's palette, which colour-blind readers can tell apart.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.data import digits
from companion.training.random import rand
from companion.validate import Finite, check_labels, check_number, checked

PLANTED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9)
_BLUE, _ORANGE = (0.0, 0.447, 0.698), (0.902, 0.624, 0.0)


@dataclass(frozen=True)
class SkewedDigits:
    """Painted digits: images in [-1, 1], what each shows, and whether it is blue."""

    images: Float[Tensor, "n 3 28 28"]
    labels: Int[Tensor, "n"]
    blue: Bool[Tensor, "n"]

    def to(self, device: torch.device | str) -> "SkewedDigits":
        return SkewedDigits(self.images.to(device), self.labels.to(device), self.blue.to(device))


@checked
def paint(images: Finite[Tensor, "n 1 height width"], blue: Bool[Tensor, "n"]) -> Float[Tensor, "n 3 height width"]:
    """Grey digits in [-1, 1], 1 being ink, as blue or orange ink on white paper."""
    inks = torch.tensor([_ORANGE, _BLUE], dtype=images.dtype, device=images.device)[blue.long()][:, :, None, None]
    return 1 - (images + 1) * (1 - inks)


@checked
def is_blue(images: Float[Tensor, "n 3 height width"]) -> Bool[Tensor, "n"]:
    """Whether a painted digit, or one that a model drew, is more blue than orange: which light its ink swallows."""
    red, _, blue = (1 - images).sum((2, 3)).unbind(1)
    return red > blue


@checked
def ink(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 1 height width"]:
    """The grey digit below the paint, in [-1, 1]: what the judge of digits takes."""
    swallowed = torch.where(is_blue(images)[:, None, None], 1 - images[:, 0], 1 - images[:, 2])
    return swallowed.clamp(0, 2)[:, None] - 1


def skewed_digits(
    split: str, generator: torch.Generator, *, shares: tuple[float, ...] = PLANTED, limit: int | None = None
) -> SkewedDigits:
    """The digits of `companion.data.digits`, each painted blue with the chance ``shares[digit]``.

    Raises:
        ValueError: not ten shares, or one outside [0, 1]; what `companion.data.digits` raises.
    """
    if len(shares) != 10:
        raise ValueError(f"shares: got {len(shares)}, wanted one for each of the ten digits")
    for share in shares:
        check_number("shares", share, low=0, high=1)
    data = digits(split, limit=limit)
    check_labels("labels", data.labels, 10)
    blue = rand((len(data),), generator) < torch.tensor(shares)[data.labels]
    return SkewedDigits(paint(data.images, blue), data.labels, blue)
