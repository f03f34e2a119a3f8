r"""Logistic regression: the discriminative twin of the Gaussian classifier with one covariance.

The same family, :math:`p(y \mid x) = \mathrm{softmax}(W x + b)_y`, fitted to the question itself: the weights minimise the mean
cross-entropy (eq-discriminative-cross-entropy) plus a penalty on the squared weights,

.. math:: -\frac1n \sum_i \log p(y_i \mid x_i) + \frac{\lambda}{2} \lVert W \rVert^2.

The sum is convex, so there is one best value and no seed: L-BFGS with all the data finds it, where `companion.training`
would have to be tuned for each number of examples.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import check_count, check_float, check_labels, check_number, check_shapes


@dataclass(frozen=True)
class LogisticRegression:
    """A linear classifier: weights of shape (classes, dims) and biases of shape (classes)."""

    weight: Float[Tensor, "classes dims"]
    bias: Float[Tensor, "classes"]

    def logits(self, x: Float[Tensor, "n dims"]) -> Float[Tensor, "n classes"]:
        """log p(y | x) up to a constant for each example."""
        check_shapes(x=(x, f"n {self.weight.shape[1]}"))
        return x @ self.weight.T + self.bias

    def posterior(self, x: Float[Tensor, "n dims"]) -> Float[Tensor, "n classes"]:
        """p(y | x)."""
        return self.logits(x).softmax(1)


def fit_logistic(
    x: Float[Tensor, "n dims"], y: Int[Tensor, "n"], classes: int, *, penalty: float, iterations: int = 100
) -> LogisticRegression:
    """The weights that minimise cross-entropy plus penalty.

    Args:
        x: the examples.
        y: their classes; a class without an example gets a low bias, and no error.
        classes: how many classes there are.
        penalty: λ; above 0, for without it separable examples have no best weights.
        iterations: L-BFGS's; it stops earlier when the gradient is small.
    """
    check_count("classes", classes, low=2)
    check_count("iterations", iterations)
    check_number("penalty", penalty, low=0, open_low=True)
    dims = check_shapes(x=(x, "n dims"), y=(y, "n"))["dims"]
    check_float(x=x)
    check_labels("y", y, classes)
    weight = x.new_zeros(classes, dims, requires_grad=True)
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
