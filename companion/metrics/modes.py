"""Mode coverage: how many modes of a known mixture a sample finds, and how many of its points lie in one.

The two numbers belong together: a model that puts everything on one Gaussian has only good points, and one that spreads
over the plane touches every mode. Following Srivastava et al., VEEGAN, arXiv:1705.07761, a point is of high quality if it
lies within three standard deviations of the nearest mean. There a mode is found if one such point is nearest to it; here it
must hold a tenth of its fair share, so that a single stray point finds nothing (``least_share=0`` is the paper's rule).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from companion.validate import Finite, NonNegative, Positive, Share, checked


@dataclass(frozen=True)
class ModeReport:
    """What `mode_report` counts.

    Attributes:
        found: modes that hold enough high-quality points.
        modes: how many there are.
        high_quality: the share of points within the radius of the nearest mean.
        counts: high-quality points of each mode.
    """

    found: int
    modes: int
    high_quality: float
    counts: Int[Tensor, "k"]

    def __str__(self) -> str:
        return f"{self.found}/{self.modes} modes, {self.high_quality:.0%} of the points in one"


@checked
def mode_report(
    points: Finite[Tensor, "n d"],
    means: Finite[Tensor, "k d"],
    sd: Positive,
    *,
    within: Positive = 3.0,
    least_share: Share = 0.1,
) -> ModeReport:
    """Count the modes that a sample finds and its points of high quality.

    Args:
        points: the sample.
        means: the mixture's means.
        sd: the standard deviation of each Gaussian along each axis.
        within: the radius of a mode, in standard deviations.
        least_share: the part of its fair share, n / k, that a mode must hold to be found (always at least one point).

    Raises:
        ValueError: wrong shapes, an empty sample, values that are not finite, or numbers out of range.
    """
    distance, nearest = torch.cdist(points, means.to(points)).min(1)
    good = distance <= within * sd
    counts = torch.bincount(nearest[good], minlength=len(means))
    least = max(1, math.ceil(least_share * len(points) / len(means)))
    return ModeReport(int((counts >= least).sum()), len(means), float(good.float().mean()), counts)


@checked
def share_within(radius: NonNegative) -> float:
    """The share of a round 2-D Gaussian within ``radius`` standard deviations: 1 - exp(-radius²/2), 98.9 % at 3."""
    return -math.expm1(-(radius**2) / 2)
