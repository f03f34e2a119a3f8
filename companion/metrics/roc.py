r"""The ROC curve of a score: what each threshold catches, and what it accuses wrongly.

A detector says "yes" to every score of at least a threshold. Over all thresholds the pairs

.. math:: \text{FPR}(t) = P(\text{lower} \ge t), \qquad \text{TPR}(t) = P(\text{higher} \ge t)

make a curve from (0, 0) to (1, 1); the area below it is `companion.metrics.ranking.auc`. Where a false alarm accuses a
person, the area is the wrong number: `power_at` reads off what is caught at a false-positive rate that one can answer for.

Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters, 2006.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import check_float, check_number, check_shapes


@dataclass(frozen=True)
class ROC:
    """One point for each threshold, from the strictest (nothing is called positive) to the laxest (everything is).

    Attributes:
        threshold: a score; the first is infinite.
        false_positive: the share of the lower group at or above it.
        true_positive: the share of the higher group at or above it.
    """

    threshold: Float[Tensor, "points"]
    false_positive: Float[Tensor, "points"]
    true_positive: Float[Tensor, "points"]

    def power_at(self, rate: float) -> float:
        """The largest true-positive rate among the thresholds whose false-positive rate is at most ``rate``."""
        check_number("rate", rate, low=0, high=1)
        return float(self.true_positive[self.false_positive <= rate].max())


def roc(higher: Float[Tensor, "n"], lower: Float[Tensor, "m"]) -> ROC:
    """The ROC curve of the scores of two groups, with one point for each value that occurs.

    Args:
        higher: scores of the group that ought to score higher.
        lower: scores of the other group.

    Raises:
        ValueError: an empty group, scores that are not a vector of finite floating-point numbers.
    """
    check_shapes(higher=(higher, "n"), lower=(lower, "m"))
    check_float(higher=higher, lower=lower)
    higher, lower = higher.cpu(), lower.cpu()  # the curve is in float64, which not every device has
    values = torch.cat([higher.double(), lower.double()]).unique().flip(0)
    threshold = torch.cat([torch.tensor([torch.inf], dtype=torch.float64), values])

    def share(scores: Tensor) -> Tensor:
        below = torch.searchsorted(scores.double().sort().values, threshold, right=False)
        return 1 - below.double() / len(scores)

    return ROC(threshold, share(lower), share(higher))
