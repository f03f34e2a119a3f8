r"""What films from captions are marked by: is the digit there, does it move as asked, and do its parts fit together?

The judge of films (`companion.video.film_judge`) chooses among all ten digits and all four directions, whatever was asked, so
chance is right in a tenth and in a quarter. Two numbers come from the path :math:`c_t` of the ink's centre:

- the seam, :math:`|c_{s+1} - c_s|` with s the last frame of the first latent frame
- the jerk (eq-coherence-jerk)

The compression network sees no two blocks of four frames together. Whether they fit is left to the transformer: a digit that
moves evenly goes as far across the seam as elsewhere. `variety` says how unlike each other the digits of one name are, and
how unlike all are: what guidance changes may be the one or the other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.metrics.intervals import Interval, wilson
from companion.validate import checked
from companion.video.film_judge import centroids, digit_crops, judge_films
from companion.video.measures import jerk
from companion.video.sora.compression import FRAMES


@dataclass(frozen=True)
class Share:
    """``right`` of ``of`` trials; printed with Wilson's interval for 95 %."""

    right: int
    of: int

    @property
    def value(self) -> float:
        return self.right / self.of

    @property
    def interval(self) -> Interval:
        return wilson(self.right, self.of)

    def __str__(self) -> str:
        return f"{self.value:.0%} ({self.interval.low:.0%}–{self.interval.high:.0%})"


@dataclass(frozen=True)
class Marks:
    """The marks of a set of films.

    Attributes:
        digit: in how many the judge reads the digit asked for, of ten.
        motion: how many set out in the direction asked for, of four.
        seam: the mean step of the digit from the first latent frame to the second, in pixels.
        jerk: the mean change of its velocity from frame to frame, in pixels.
    """

    digit: Share
    motion: Share
    seam: float
    jerk: float

    def __str__(self) -> str:
        return f"digit {self.digit}  motion {self.motion}  seam {self.seam:.2f}  jerk {self.jerk:.2f}"


@checked
def examine(
    films: Float[Tensor, "n 1 frames height width"], digits: Int[Tensor, "n"], directions: Int[Tensor, "n"]
) -> Marks:
    """Marks for films of which these digits and directions were asked; more than four frames each."""
    if films.shape[2] <= FRAMES:
        raise ValueError(f"films: got {films.shape[2]} frames, wanted more than {FRAMES}, so that there is a seam")
    seen = judge_films(films)
    return Marks(
        digit=Share(int((seen.digits == digits).sum()), len(films)),
        motion=Share(int((seen.directions == directions).sum()), len(films)),
        seam=float((seen.paths[:, FRAMES] - seen.paths[:, FRAMES - 1]).norm(dim=-1).mean()),
        jerk=float(jerk(films).mean()),
    )


@dataclass(frozen=True)
class Variety:
    """Variances of the digits' pixels, within the digits of one name and in all; printed with what lies between names."""

    within: float
    total: float

    @property
    def between(self) -> float:
        return self.total - self.within

    def __str__(self) -> str:
        return f"within names {self.within:.3f}  between {self.between:.3f}"


@checked
def variety(films: Float[Tensor, "n 1 frames height width"], digits: Int[Tensor, "n"]) -> Variety:
    """How unlike each other the digits of one name are, and how unlike all are.

    Where a digit is does not matter: the first frame is cut out around its centre. With few films of a name its mean fits
    them too well: compare equal numbers.
    """
    views = digit_crops(films[:, :, :1], centroids(films[:, :, :1]))[:, 0]
    means = torch.zeros_like(views)
    for name in digits.unique():
        means[digits == name] = views[digits == name].mean(0)
    return Variety(float((views - means).square().mean()), float((views - views.mean(0)).square().mean()))
