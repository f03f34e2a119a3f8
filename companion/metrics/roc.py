r"""The ROC curve of a score and the area under it: how well one number separates two groups.

A detector says "yes" to every score of at least a threshold. Over all thresholds the pairs

.. math:: \text{FPR}(t) = P(\text{lower} \ge t), \qquad \text{TPR}(t) = P(\text{higher} \ge t)

make a curve from (0, 0) to (1, 1). The area below it, `auc`, is the chance that a random member of the first group scores
higher than a random member of the second, a tie counting one half: :math:`P(a > b) + \tfrac12 P(a = b)`. One half is no
separation, 1 perfect, 0 perfect the wrong way round. Where a false alarm accuses a person, the area is the wrong number:
`ROC.power_at` reads off what is caught at a false-positive rate that one can answer for. Computed by scikit-learn.

Sources: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters, 2006; Mann & Whitney, "On a Test of Whether
one of Two Random Variables is Stochastically Larger than the Other", 1947; Hanley & McNeil, "The meaning and use of the area
under a ROC curve", Radiology, 1982.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import Finite, Share, checked


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

    @checked
    def power_at(self, rate: Share) -> float:
        """The largest true-positive rate among the thresholds whose false-positive rate is at most ``rate``."""
        return float(self.true_positive[self.false_positive <= rate].max())


@checked
def roc(higher: Finite[Tensor, "n"], lower: Finite[Tensor, "m"]) -> ROC:
    """The ROC curve of the scores of two groups, with one point for each value that occurs.

    Args:
        higher: scores of the group that ought to score higher.
        lower: scores of the other group.

    Raises:
        ValueError: an empty group, scores that are not a vector of finite floating-point numbers.
    """
    from sklearn.metrics import roc_curve  # here: it takes longer to import than this whole package

    false, true, threshold = roc_curve(*_labelled(higher, lower), drop_intermediate=False)
    return ROC(torch.from_numpy(threshold), torch.from_numpy(false), torch.from_numpy(true))


@checked
def auc(higher: Finite[Tensor, "n"], lower: Finite[Tensor, "m"]) -> float:
    """The area under the ROC curve; arguments and errors as for `roc`."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*_labelled(higher, lower)))


def _labelled(higher: Float[Tensor, "n"], lower: Float[Tensor, "m"]) -> tuple[np.ndarray, np.ndarray]:
    """Which group each score is of, 1 for the higher, and the scores."""
    scores = torch.cat([higher.cpu(), lower.cpu()]).double().numpy()
    return np.repeat([1, 0], [len(higher), len(lower)]), scores
