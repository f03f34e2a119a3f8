r"""How well one number separates two groups: the area under the ROC curve.

It is the chance that a random member of the first group scores higher than a random member of the second, a tie counting
one half: :math:`P(a > b) + \tfrac12 P(a = b)`. One half is no separation, 1 perfect, 0 perfect the wrong way round.

Source: Mann & Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other", 1947;
Hanley & McNeil, "The meaning and use of the area under a ROC curve", Radiology, 1982.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import check_float, check_shapes


def auc(higher: Float[Tensor, "n"], lower: Float[Tensor, "m"]) -> float:
    """The area under the ROC curve of the scores of two groups.

    Args:
        higher: scores of the group that ought to score higher.
        lower: scores of the other group.

    Raises:
        ValueError: an empty group, scores that are not a vector of finite floating-point numbers.
    """
    check_shapes(higher=(higher, "n"), lower=(lower, "m"))
    check_float(higher=higher, lower=lower)
    ordered = lower.sort().values
    below = torch.searchsorted(ordered, higher, right=False)
    up_to = torch.searchsorted(ordered, higher, right=True)
    return float((below + up_to).cpu().double().sum() / (2 * len(higher) * len(lower)))
