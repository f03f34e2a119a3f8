"""A loss that is a mean over the targets of a batch, kept as sum and number so that parts of a batch can be put together.

    L = Σ_parts total / Σ_parts count                                                         (eq-masked-mean)

If the parts of a batch (micro-batches, or the shares of several processes) have unequally many targets, the mean of their means
is another number, and has another gradient. `companion.training.train` divides by the number of the whole batch.
"""

from dataclasses import dataclass

from jaxtyping import Float, Num
from torch import Tensor


@dataclass(frozen=True)
class MaskedMean:
    """A mean over some of the numbers of a batch.

    Attributes:
        total: their sum, with its gradient.
        count: how many they are.
    """

    total: Float[Tensor, ""]
    count: Num[Tensor, ""]

    def mean(self) -> Float[Tensor, ""]:
        """The mean of this batch alone.

        Raises:
            ValueError: there is nothing to take the mean of.
        """
        if not self.count:
            raise ValueError("count: got no target in this batch, wanted at least one")
        return self.total / self.count

    def __float__(self) -> float:
        return float(self.mean())
