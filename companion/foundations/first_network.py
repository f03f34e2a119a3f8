r"""A first network and its training, with every step written: a curve through measured points.

- the loss (eq-first-loss): :math:`L(\theta) = \frac1n \sum_i (f_\theta(x_i) - y_i)^2`
- a step of gradient descent (eq-first-step): :math:`\theta \leftarrow \theta - \eta\, \nabla_\theta L`
- a network with one hidden layer (eq-first-network): :math:`f(x) = \sum_k v_k \tanh(w_k x + b_k) + c`
- a batch's gradient (eq-first-batch) has the whole gradient as its mean over batches drawn by chance

`fit` is the loop of every training in this course; `companion.training.train` is the same loop with a schedule, averaged
weights, checkpoints and several processes.

Sources: backpropagation through hidden units: Rumelhart, Hinton & Williams, "Learning representations by back-propagating
errors", Nature 323, 1986. Stopping by validation data: Prechelt, "Early Stopping - But When?", 1998.
"""

import copy
from dataclasses import dataclass, field
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.validate import Count, Positive, Range, checked

__all__ = ["CurveNet", "Fit", "descend", "fit", "mean_squared_error"]

Points = Float[Tensor, "n 1"]


def mean_squared_error(predicted: Points, measured: Points) -> Float[Tensor, ""]:
    """How far off a curve is (eq-first-loss), in squared units of what was measured."""
    return (predicted - measured).square().mean()


class CurveNet(nn.Module):
    """A curve of ``hidden`` bends (eq-first-network); its parameters are w, b, v and c.

    Args:
        hidden: how many bends.
        steepness: bends start at slopes up to this, and so that each lies where the data are, between -1 and 1.
    """

    @checked
    def __init__(self, hidden: Count, steepness: Positive = 10.0) -> None:
        super().__init__()
        w = steepness * (2 * torch.rand(hidden) - 1)
        self.w = nn.Parameter(w)
        self.b = nn.Parameter(-w * (2 * torch.rand(hidden) - 1))  # a bend lies where w x + b = 0
        self.v = nn.Parameter(torch.randn(hidden) / hidden**0.5)
        self.c = nn.Parameter(torch.zeros(1))

    def bends(self, x: Points) -> Float[Tensor, "n hidden"]:
        """The hidden layer: each bend at each point, before they are added up."""
        return torch.tanh(x * self.w + self.b)

    def forward(self, x: Points) -> Points:
        return (self.bends(x) @ self.v + self.c)[:, None]


@torch.no_grad()
def descend(model: nn.Module, rate: float) -> None:
    """A step downhill (eq-first-step) for every parameter, and an empty gradient for the next one."""
    for parameter in model.parameters():
        parameter -= rate * parameter.grad
        parameter.grad = None


@dataclass
class Fit:
    """What `fit` saw.

    Attributes:
        train: the loss of each step's batch, before the step.
        valid: the loss on the validation points after each step; empty if none were given.
        best: the step after which that was lowest, from 1; 0 if none were given.
    """

    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    best: int = 0


@checked
def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    points: tuple[Tensor, Tensor],
    *,
    steps: Count,
    batch_size: Annotated[int, Range(1)] | None = None,
    generator: torch.Generator | None = None,
    valid: tuple[Tensor, Tensor] | None = None,
    keep_best: bool = False,
) -> Fit:
    """Train: forward, loss, backward, step, and again.

    Args:
        model: maps x to y; changed in place.
        optimizer: of the model's parameters.
        points: x and y, shape (n, 1) each.
        steps: updates.
        batch_size: so many points, drawn by chance, in each step; all of them if not given.
        generator: draws the batches.
        valid: other points, to watch.
        keep_best: give the model the weights of the best validation loss at the end (early stopping).

    Raises:
        ValueError: x and y of unequal length, more points asked for than there are, a batch without a generator, or the
            best to be kept without validation points.
    """
    x, y = points
    if x.shape != y.shape or (batch_size is not None and (batch_size > len(x) or generator is None)):
        raise ValueError(
            f"points: got {tuple(x.shape)} and {tuple(y.shape)} for batches of {batch_size} "
            f"{'without' if generator is None else 'with'} a generator, wanted equal shapes, no larger batch, and one"
        )
    if keep_best and valid is None:
        raise ValueError("valid: got none to choose the best by, wanted validation points")
    seen, state = Fit(), None
    for step in range(1, steps + 1):
        chosen = (
            slice(None) if batch_size is None else torch.randperm(len(x), generator=generator)[:batch_size].to(x.device)
        )
        loss = mean_squared_error(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.train.append(loss.item())
        if valid is not None:
            with torch.no_grad():
                seen.valid.append(mean_squared_error(model(valid[0]), valid[1]).item())
            if not seen.best or seen.valid[-1] < seen.valid[seen.best - 1]:
                seen.best = step
                state = copy.deepcopy(model.state_dict()) if keep_best else None
    if state is not None:
        model.load_state_dict(state)
    return seen
