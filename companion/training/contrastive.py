r"""The contrastive loss: each row of a table of scores should find its own column among all columns of the batch.

    L = -1/n Σ_i log exp(s_ii) / Σ_{j ∈ N(i)} exp(s_ij)                                        (eq-info-nce)

Van den Oord et al. 2018, arXiv:1807.03748, named it InfoNCE. N(i) is the batch without other copies of i: a passage or a
caption that happens to stand in the batch twice would else be its own wrong answer.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from companion.validate import checked


@checked
def info_nce_of_scores(scores: Float[Tensor, "n n"], which: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """The loss of a batch (eq-info-nce), in nats.

    Args:
        scores: of row i with column j, similarity over temperature; the pairs are on the diagonal.
        which: a number for each pair; pairs with the same one do not serve each other as wrong answers.

    Raises:
        ValueError: a table that is not square, or another number of pairs.
    """
    twin = (which[:, None] == which) & ~torch.eye(len(which), dtype=torch.bool, device=which.device)
    return F.cross_entropy(scores.masked_fill(twin, -torch.inf), torch.arange(len(scores), device=scores.device))
