"""Stacked digits: three digits as the red, green and blue of one picture, which so has a known one of 1,000 modes.

Metz, Poole, Pfau & Sohl-Dickstein, "Unrolled Generative Adversarial Networks", arXiv:1611.02163, section 3.3.2, made them of
MNIST to count what a generator leaves out: each of the 10 × 10 × 10 triples is equally likely, and a classifier of digits,
asked once for each colour, says which one a picture shows. Here the three are drawn independently, and first their
classes, so the law over the modes is uniform whatever the counts in the data.
"""

from dataclasses import dataclass, field, replace

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from companion.data.sets import ImageSet
from companion.training.random import randint
from companion.validate import check_labels, checked

COLOURS = 3
CLASSES = 10
MODES = CLASSES**COLOURS
PAPER = -1.0
CONTRAST = 1.5


@dataclass(frozen=True, eq=False)
class Stacks:
    """Stacked digits out of a set of grey ones; ``draw`` is a data source for `companion.training.train`.

    Attributes:
        digits: grey digits in [-1, 1] with all ten classes.
    """

    digits: ImageSet
    places: list[Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_labels("digits", self.digits.labels, CLASSES)
        if self.digits.images.shape[1] != 1:
            raise ValueError(f"digits: got {self.digits.images.shape[1]} colours, wanted grey pictures")
        places = [(self.digits.labels == c).nonzero()[:, 0] for c in range(CLASSES)]
        missing = [c for c in range(CLASSES) if not len(places[c])]
        if missing:
            raise ValueError(f"digits: got none of the classes {missing}, wanted at least one of each of the ten")
        object.__setattr__(self, "places", places)

    @classmethod
    def small(cls, digits: ImageSet) -> "Stacks":
        """Of 28×28 digits, made 16×16 (`shrunk`)."""
        return cls(replace(digits, images=shrunk(digits.images)))

    def draw(self, n: int, generator: torch.Generator) -> tuple[Float[Tensor, "n 3 h w"], Int[Tensor, "n"]]:
        """n pictures in [-1, 1] and the mode of each."""
        images = self.digits.images
        classes = randint(CLASSES, (n, COLOURS), generator, images)
        chosen = torch.empty_like(classes)
        for c, places in enumerate(self.places):
            here = classes == c
            chosen[here] = places[randint(len(places), (int(here.sum()),), generator, images)]
        return images[chosen, 0], mode_number(classes)


@checked
def mode_number(classes: Int[Tensor, "n 3"]) -> Int[Tensor, "n"]:
    """The number of a triple of classes: red counts hundreds, green tens, blue ones."""
    check_labels("classes", classes, CLASSES)
    return classes @ classes.new_tensor([100, 10, 1])


def channels(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "m 1 h w"]:
    """Every colour as a grey picture of its own, three in a row for each: what a judge of grey digits is asked about."""
    return rearrange(images, "n c h w -> (n c) 1 h w")


@checked
def shrunk(images: Float[Tensor, "n c 28 28"]) -> Float[Tensor, "n c 16 16"]:
    """Two pixels of paper around a digit, then the means of squares of 2×2 pixels."""
    return F.avg_pool2d(F.pad(images, (2, 2, 2, 2), value=PAPER), 2)


@checked
def enlarged(images: Float[Tensor, "n c 16 16"]) -> Float[Tensor, "n c 28 28"]:
    """Back to the size that `companion.metrics.digit_judge` knows, by cubic interpolation.

    Means of squares are paler than ink; `CONTRAST` makes up for it, so that the judge reads small digits as well as large
    ones.
    """
    large = F.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False)
    return (CONTRAST * large[:, :, 2:-2, 2:-2]).clamp(-1, 1)
