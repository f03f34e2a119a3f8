r"""When to say that one does not know: a threshold on how sure one is, and what it costs.

With a confidence c_i and whether the answer would be right, r_i, and all answered whose c_i is at least t:

    coverage(t) = share answered,   risk(t) = share of the answered that is wrong               (eq-agents-risk)

El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 2010. The threshold is chosen
on questions of its own: the lowest at which the risk is what one is ready to bear.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.validate import Share, checked


@dataclass(frozen=True)
class Selective:
    """What comes of answering only what one is sure of, for every number of questions answered, the surest first.

    Attributes:
        threshold: the confidence of the least sure of those answered.
        coverage: the share answered.
        risk: the share of the answered that is wrong.
    """

    threshold: Float[Tensor, "n"]
    coverage: Float[Tensor, "n"]
    risk: Float[Tensor, "n"]


@checked
def risk_coverage(confidence: Float[Tensor, "n"], right: Bool[Tensor, "n"]) -> Selective:
    """The curve (eq-agents-risk): entry i answers the i + 1 surest questions."""
    order = confidence.argsort(descending=True, stable=True)
    answered = torch.arange(1, len(order) + 1)
    wrong = (~right[order]).float().cumsum(0)
    return Selective(confidence[order], answered / len(order), wrong / answered)


@checked
def threshold_for(confidence: Float[Tensor, "n"], right: Bool[Tensor, "n"], risk: Share) -> float:
    """The lowest threshold at which the risk is no more than one is ready to bear; infinite if there is none."""
    curve = risk_coverage(confidence, right)
    last = torch.cat([curve.threshold[1:] < curve.threshold[:-1], torch.tensor([True])])  # equals are answered together
    fine = (last & (curve.risk <= risk)).nonzero()
    return float(curve.threshold[fine[-1, 0]]) if len(fine) else float("inf")
