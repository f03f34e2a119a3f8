r"""How samples spread over equally likely classes: how many occur, and the divergence from the uniform law.

With :math:`p_k` the share of samples that a judge puts into class k of K, found are those with :math:`p_k > 0`, and
:math:`\mathrm{KL}(p \| u) = \sum_k p_k \log(K p_k)` (eq-gan-kl), as Srivastava et al., VEEGAN, arXiv:1705.07761, and Lin
et al., PacGAN, arXiv:1712.04086, report for stacked digits. n samples of the uniform law itself are not at 0: they miss
:math:`K (1 - 1/K)^n` classes and are at about :math:`(K - 1) / 2n` nats on average (eq-gan-floor). `floor` says so, and a
figure is quoted beside it.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from companion.validate import Count, check_labels, checked


@dataclass(frozen=True)
class Coverage:
    """Attributes: ``found``, classes that occur; ``kl``, nats from the uniform law."""

    found: float
    kl: float


@checked
def coverage(labels: Int[Tensor, "n"], classes: Count) -> Coverage:
    """Count samples' classes, numbered from 0."""
    check_labels("labels", labels, classes)
    share = torch.bincount(labels.cpu(), minlength=classes).double() / len(labels)
    return Coverage(float((share > 0).sum()), float(torch.special.xlogy(share, classes * share).sum()))


@checked
def floor(n: Count, classes: Count) -> Coverage:
    """What n samples of the uniform law itself score on average (eq-gan-floor); the KL to first order in 1/n."""
    return Coverage(
        -classes * math.expm1(n * math.log1p(-1 / classes)) if classes > 1 else 1.0, (classes - 1) / (2 * n)
    )
