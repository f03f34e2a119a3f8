r"""Measures of bias: how skewed a generator is, what guidance does to the skew, and weights that remove it from the data.

An attribute a (here: blue ink) has the share :math:`s_c` among the data of class c, and the share :math:`\hat s_c` among what a
model draws when asked for c.

- amplification (eq-bias-amplification): :math:`A = \frac1C \sum_c \operatorname{sign}(s_c - \tfrac12)\,(\hat s_c - s_c)`:
  positive if majorities grow. After Zhao et al., arXiv:1707.09457, who average over what each class is skewed towards.
- parity gap (eq-bias-gaps): :math:`\max_c \hat s_c - \min_c \hat s_c`: zero if every class has the same share.
- fidelity gap (eq-bias-gaps): :math:`\frac1C \sum_c |\hat s_c - s_c|`: zero if the model draws what the data have.
- what guidance does (eq-bias-guidance): sampling from :math:`p(x)^{1-w}\, p(x \mid c)^w` has the odds :math:`o_c^w / o^{w-1}`,
  with :math:`o_c` the odds in class c and o those over all: w = 1 keeps them, w > 1 takes every majority further.
- weights (eq-bias-weights): :math:`p(c)\, p(a) / p(c, a)` for each example: with them class and attribute are independent, and
  each keeps its own frequencies. Kamiran & Calders, "Data preprocessing techniques for classification without
  discrimination", Knowledge and Information Systems, 2012.

Parity and fidelity are different aims. Where the data are skewed no model has both, and which of them is right is a question
about the use, not about the model.
"""

from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.validate import Count, NonNegative, Range, check_labels, checked


@checked
def class_shares(labels: Int[Tensor, "n"], attribute: Bool[Tensor, "n"], classes: Count) -> Float[Tensor, "classes"]:
    """The share of examples with the attribute in each class.

    Raises:
        ValueError: a class without an example: its share is not known.
    """
    check_labels("labels", labels, classes)
    labels, attribute = labels.cpu(), attribute.cpu()  # shares are float64, which not every device has
    count = torch.bincount(labels, minlength=classes)
    if (count == 0).any():
        raise ValueError(f"labels: got no example of class {int((count == 0).nonzero()[0])}, wanted one of each")
    return torch.bincount(labels, weights=attribute.double(), minlength=classes) / count


@checked
def amplification(data: Float[Tensor, "classes"], drawn: Float[Tensor, "classes"]) -> float:
    """How much further majorities are in what was drawn than in the data (eq-bias-amplification)."""
    return float(((data - 0.5).sign() * (drawn - data)).mean())


@checked
def parity_gap(drawn: Float[Tensor, "classes"]) -> float:
    """The difference between the classes with the highest and the lowest share (eq-bias-gaps)."""
    return float(drawn.max() - drawn.min())


@checked
def fidelity_gap(data: Float[Tensor, "classes"], drawn: Float[Tensor, "classes"]) -> float:
    """The mean distance of a class's share from its share in the data (eq-bias-gaps)."""
    return float((drawn - data).abs().mean())


@checked
def guided_share(
    shares: Float[Tensor, "classes"], overall: Annotated[float, Range(1e-9, 1 - 1e-9)], scale: NonNegative
) -> Float[Tensor, "classes"]:
    """The share of each class under guidance of ``scale`` (eq-bias-guidance).

    Args:
        shares: those of the classes, between 0 and 1.
        overall: the share over all classes, above 0 and below 1.
        scale: w; 1 is no guidance, 0 ignores the class.
    """
    base = torch.logit(torch.tensor(overall, dtype=shares.dtype))
    return torch.sigmoid(scale * torch.logit(shares) - (scale - 1) * base)


def independence_weights(labels: Int[Tensor, "n"], attribute: Bool[Tensor, "n"], classes: int) -> Float[Tensor, "n"]:
    """A weight for each example under which attribute and class are independent (eq-bias-weights). Their mean is 1."""
    labels, attribute = labels.cpu(), attribute.cpu()
    shares = class_shares(labels, attribute, classes)[labels]
    overall = attribute.double().mean()
    return torch.where(attribute, overall / shares, (1 - overall) / (1 - shares))
