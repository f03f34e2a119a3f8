r"""Logistic regression: the discriminative twin of the Gaussian classifier with one covariance.

The same family, :math:`p(y \mid x) = \mathrm{softmax}(W x + b)_y`, fitted to the question itself: the weights minimise the mean
cross-entropy (eq-discriminative-cross-entropy) plus a penalty on the squared weights,

.. math:: -\frac1n \sum_i \log p(y_i \mid x_i) + \frac{\lambda}{2} \lVert W \rVert^2.

The sum is convex, so there is one best value and no seed: L-BFGS with all the data finds it, where `companion.training`
would have to be tuned for each number of examples.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    check_labels,
    checked,
)


@dataclass(frozen=True)
class LogisticRegression:
    """A linear classifier: weights of shape (classes, dims) and biases of shape (classes)."""

    weight: Float[Tensor, "classes dims"]
    bias: Float[Tensor, "classes"]

    @checked
    def logits(self, x: Float[Tensor, "n dims={self.weight.shape[1]}"]) -> Float[Tensor, "n classes"]:
        """log p(y | x) up to a constant for each example."""
        return x @ self.weight.T + self.bias

    def posterior(self, x: Float[Tensor, "n dims"]) -> Float[Tensor, "n classes"]:
        """p(y | x)."""
        return self.logits(x).softmax(1)


@checked
def fit_logistic(
    x: Finite[Tensor, "n dims"],
    y: Int[Tensor, "n"],
    classes: Annotated[int, Range(2)],
    *,
    penalty: Positive,
    iterations: Count = 100,
) -> LogisticRegression:
    """The weights that minimise cross-entropy plus penalty.

    Args:
        x: the examples.
        y: their classes; a class without an example gets a low bias, and no error.
        classes: how many classes there are.
        penalty: λ; above 0, for without it separable examples have no best weights.
        iterations: L-BFGS's; it stops earlier when the gradient is small.
    """
    check_labels("y", y, classes)
    weight = x.new_zeros(classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(x @ weight.T + bias, y) + 0.5 * penalty * weight.square().sum()
        value.backward()
        return value

    optimizer.step(objective)
    return LogisticRegression(weight.detach(), bias.detach())
