r"""The best size along the compute, by a law, and what becomes of its power when parameters are counted otherwise.

The family of `companion.scaling.laws.family`, as if its width were any number and the hidden width 8/3 of it:

    N(w) = w V + ℓ (12 w² + 2 w) + w,  of which w V are the token table                       (eq-frontier-size)

- `sizes_along`: N and D for one compute, by the operations that the family really takes
- `frontier_power` (eq-frontier-power): a in :math:`N^*_c \sim C_c^a` between two computes, where N* minimises
  :math:`L(N, D)` with :math:`D = C_c / (6 N_c)`, and the counted :math:`N_c` is N or N without the token table. With the table
  this is :math:`\beta / (\alpha + \beta)`, the closed form of the law.

Source: Pearce & Song, "Reconciling Kaplan and Chinchilla Scaling Laws", 2024, arXiv:2406.12907: one law, two ways to count.
"""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from companion.scaling.laws.family import CONTEXT, LAYERS
from companion.scaling.laws.fit import ScalingLaw
from companion.scaling.laws.isoflop import exponent
from companion.validate import Count, Positive, Range, checked

__all__ = ["family_size", "frontier_power", "sizes_along"]


def family_size(width: Float[Tensor, "n"], vocab_size: int) -> Float[Tensor, "n"]:
    """N of the family's members of such widths (eq-frontier-size)."""
    return vocab_size * width + LAYERS * (12 * width**2 + 2 * width) + width


@checked
def sizes_along(
    compute: Positive, vocab_size: Count, *, points: Annotated[int, Range(2)] = 400
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """N and D of one compute, from width 3 to 400."""
    width = torch.logspace(0.5, 2.6, points, dtype=torch.float64)
    cost = 6 * (LAYERS * (12 * width**2 + 2 * CONTEXT * width) + width * vocab_size)
    return family_size(width, vocab_size), compute / cost


@checked
def frontier_power(law: ScalingLaw, low: Positive, high: Positive, vocab_size: Count, *, table: bool = True) -> float:
    """The power of the best size between two computes, by a law, with the token table counted or not (eq-frontier-power).

    Args:
        law: in N with the table, as fitted.
        low: one compute, as counted.
        high: another.
        vocab_size: of the table.
        table: whether it counts, in N and in C = 6 N D.
    """
    width = torch.logspace(0, 5, 100_001, dtype=torch.float64)
    size = family_size(width, vocab_size)
    counted = size if table else size - vocab_size * width
    best = [float(counted[law.loss(size, compute / (6 * counted)).argmin()]) for compute in (low, high)]
    return exponent((low, high), best)
