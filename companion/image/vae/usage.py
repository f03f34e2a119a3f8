r"""How much of a codebook is used.

With :math:`p_k` the share of vectors that have code k, the *perplexity* :math:`\exp(-\sum_k p_k \log p_k)` is the number of
codes that equally frequent ones would be (eq-vae-perplexity): from 1 to K. `Usage.alive` counts those that occur at all. A code
costs at most :math:`\log_2 K` bits, and on average :math:`\log_2` of the perplexity if nothing but these shares is known.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import Count, check_labels, checked


@dataclass(frozen=True)
class Usage:
    """Attributes: ``shares``, how often each code occurs; they sum to 1."""

    shares: Float[Tensor, "k"]

    @property
    def alive(self) -> int:
        """Codes that occur."""
        return int((self.shares > 0).sum())

    @property
    def perplexity(self) -> float:
        """The effective number of codes (eq-vae-perplexity)."""
        return float(torch.special.entr(self.shares.cpu().double()).sum().exp())


@checked
def usage(codes: Int[Tensor, "*n"], size: Count) -> Usage:
    """Count codes, of which there are ``size``."""
    check_labels("codes", codes, size)
    counts = torch.bincount(codes.flatten(), minlength=size)
    return Usage(counts / counts.sum())
