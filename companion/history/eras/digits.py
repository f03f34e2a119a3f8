r"""Binary digits of 14×14 pixels, on which four eras are compared, and the way back to what the judge can read.

A likelihood is a number about one kind of data. If one model describes grey values, another bits, and a third numbers with
noise added, their likelihoods cannot be set side by side. So all models of the lesson see the same 196 bits: `shrink` takes the
mean of each 2×2 square of a 28×28 digit and calls it ink where at least `THRESHOLD` of the square is covered. And all samples,
and all real digits that they are compared with, go back to 28×28 by the same `enlarge` before the judge sees them
(`companion.metrics.digit_judge`): what the treatment takes from legibility, it takes from real digits too.

Nothing here is from a paper; fixed binarisation of digits is as old as Salakhutdinov & Murray, "On the quantitative
analysis of deep belief networks", ICML 2008, who drew each pixel once with its brightness as the probability.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from companion.validate import Range, checked

SIDE = 14
PIXELS = SIDE * SIDE
THRESHOLD = 0.4


@checked
def shrink(images: Annotated[Float[Tensor, "n 1 28 28"], Range(-1, 1)]) -> Float[Tensor, "n 1 14 14"]:
    """Digits in [-1, 1] as 14×14 pixels that are -1 (paper) or 1 (ink)."""
    covered = F.avg_pool2d((images + 1) / 2, 2)
    return torch.where(covered >= THRESHOLD, 1.0, -1.0).to(images)


@checked
def harden(images: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n 1 14 14"]:
    """Each pixel to the nearer of paper and ink: what a model that answers in shades meant."""
    return torch.where(images > 0, 1.0, -1.0).to(images)


@checked
def enlarge(images: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n 1 28 28"]:
    """Twice the size, with straight lines between the pixels' brightnesses: the same for samples and for real digits."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)


@checked
def as_bits(images: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n 196"]:
    """Rows of 0 (paper) and 1 (ink), as a Bernoulli likelihood wants them.

    Raises:
        ValueError: pixels that are neither -1 nor 1.
    """
    if not ((images == -1) | (images == 1)).all():
        raise ValueError("images: got shades of grey, wanted only -1 and 1; harden(images) decides them")
    return (images.flatten(1) + 1) / 2


@checked
def from_bits(bits: Float[Tensor, "n 196"]) -> Float[Tensor, "n 1 14 14"]:
    """Rows of values from 0 to 1 as images from -1 to 1; the inverse of `as_bits`."""
    return bits.reshape(-1, 1, SIDE, SIDE) * 2 - 1
