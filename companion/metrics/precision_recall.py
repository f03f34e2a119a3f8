r"""Precision and recall of a generator: are its samples like data, and are data like its samples?

Kynkäänniemi, Karras, Laine, Lehtinen & Aila, "Improved Precision and Recall Metric for Assessing Generative Models",
arXiv:1904.06991. A set of points A stands for the region :math:`M(A)`, the union of the balls around its points that reach
to the k-th nearest other point of A (eq-gan-region). Then

.. math:: \text{precision} = \tfrac1n |\{x \in \text{samples}: x \in M(\text{real})\}|,\quad
   \text{recall} = \tfrac1m |\{x \in \text{real}: x \in M(\text{samples})\}|

(eq-gan-precision). Both depend on k and on the sizes of the sets, so compare sets of one size, and quote what held-out
data score.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.metrics.nearest import nearest
from companion.training.precision import widened
from companion.validate import Count, Finite, check_count, checked

PART = 500  # points compared with all others at once


@dataclass(frozen=True)
class PrecisionRecall:
    """Attributes: ``precision``, the share of samples in the region of data; ``recall``, of data in that of samples."""

    precision: float
    recall: float


@checked
def inside(points: Finite[Tensor, "n d"], region: Finite[Tensor, "m d"], k: Count = 3) -> Bool[Tensor, "n"]:
    """Which points lie in the region of a set (eq-gan-region), the edge included.

    Args:
        points: what is looked up.
        region: the set.
        k: up to which other point of the set its balls reach; below m.
    """
    check_count("k", k, high=len(region) - 1)
    # The nearest point of the set to one of its own is itself, at distance 0.
    radius = torch.cat([nearest(part, region, k + 1).distance[:, k] for part in region.split(PART)])
    wide = widened(region)
    return torch.cat(
        [
            (torch.cdist(widened(part), wide, compute_mode="donot_use_mm_for_euclid_dist") <= radius).any(1)
            for part in points.split(PART)
        ]
    )


@checked
def precision_recall(samples: Float[Tensor, "n d"], real: Float[Tensor, "m d"], k: Count = 3) -> PrecisionRecall:
    """Precision and recall of samples' features against those of real data (eq-gan-precision)."""
    return PrecisionRecall(*(float(inside(a, b, k).float().mean()) for a, b in ((samples, real), (real, samples))))
