r"""The scaling law of language models: the loss that N parameters reach on D tokens, its fit, and the best N and D.

- the law (eq-laws-loss): :math:`L(N, D) = E + A / N^\alpha + B / D^\beta`
- its fit (eq-laws-fit): :math:`\min_{a,b,e,\alpha,\beta} \sum_i \operatorname{Huber}_\delta\big(
  \operatorname{LSE}(a - \alpha \ln N_i,\; b - \beta \ln D_i,\; e) - \ln L_i\big)` with :math:`A = e^a, B = e^b, E = e^e`
- the best split of C = k N D operations (eq-laws-frontier): :math:`N^* = G (C/k)^{\beta/(\alpha+\beta)}`,
  :math:`D^* = G^{-1} (C/k)^{\alpha/(\alpha+\beta)}`, :math:`G = (\alpha A / \beta B)^{1/(\alpha+\beta)}`
- the condition that it solves (eq-laws-balance): :math:`\alpha A / N^\alpha = \beta B / D^\beta`

Sources: Hoffmann et al., "Training Compute-Optimal Large Language Models", 2022, arXiv:2203.15556, section 3.3 (law, fit,
frontier); Besiroglu et al., "Chinchilla Scaling: A replication attempt", 2024, arXiv:2404.10102 (a better fit to the same
points; it blames the first fit's optimiser, which stopped early because it averaged the losses of the points where they must
be summed).

Departures: ln N and ln D are centred before the fit, which changes its path but not its optimum; L-BFGS starts from the best
few points of the paper's grid, not from all 4,500.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from companion.training.random import randint
from companion.validate import Count, NonNegative, Positive, Range, check_number, checked

__all__ = [
    "BESIROGLU",
    "HOFFMANN",
    "LawFit",
    "Optimum",
    "ScalingLaw",
    "best_fit",
    "bootstrap_laws",
    "descend",
    "fit_law",
    "misfit",
]

Values = Sequence[float] | Float[Tensor, "points"]


@dataclass(frozen=True)
class Optimum:
    """The best use of a compute: ``parameters``, ``tokens``, and the ``loss`` that the law promises for them."""

    compute: float
    parameters: float
    tokens: float
    loss: float

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters


@checked
@dataclass(frozen=True)
class ScalingLaw:
    """The law L(N, D) = E + A / N^alpha + B / D^beta (eq-laws-loss), in nats a token.

    Attributes:
        E: the loss that is left with infinite parameters and data: what the text itself costs.
        A: with ``alpha``, the loss from a finite model.
        alpha: how fast that part falls.
        B: with ``beta``, the loss from finite data.
        beta: how fast that part falls.
    """

    E: NonNegative
    A: Positive
    alpha: Positive
    B: Positive
    beta: Positive

    def loss(self, parameters: float | Tensor, tokens: float | Tensor) -> float | Tensor:
        """L(N, D), for numbers or for tensors that broadcast."""
        return self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta

    @checked
    def optimum(self, compute: Positive, *, per_pair: Positive = 6.0) -> Optimum:
        """The best N and D for a compute (eq-laws-frontier).

        Args:
            compute: floating-point operations of the whole training.
            per_pair: k, the operations for one parameter and one token; 6 in C = 6 N D.
        """
        total, pairs = self.alpha + self.beta, math.log(compute / per_pair)
        log_g = math.log(self.alpha * self.A / (self.beta * self.B)) / total
        n = math.exp(log_g + pairs * self.beta / total)
        d = math.exp(-log_g + pairs * self.alpha / total)
        return Optimum(compute, n, d, float(self.loss(n, d)))

    def compute_for(self, loss: float, *, per_pair: float = 6.0) -> float:
        """The least compute that reaches a loss: the frontier read the other way round.

        Raises:
            ValueError: a loss that no compute reaches, because it is not above E.
        """
        check_number("loss", loss, low=self.E, open_low=True)
        # On the frontier the part above E falls as a pure power of the compute, so one point of it gives them all.
        unit = self.optimum(per_pair, per_pair=per_pair).loss - self.E
        power = self.alpha * self.beta / (self.alpha + self.beta)
        return per_pair * (unit / (loss - self.E)) ** (1 / power)


# Both for 6 N D, both fitted to the points of Hoffmann et al. (MassiveText, up to 16 billion parameters).
HOFFMANN = ScalingLaw(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28)  # eq. 10 of the paper, as printed
BESIROGLU = ScalingLaw(
    E=1.8172, A=482.01, alpha=0.3478, B=2085.43, beta=0.3658
)  # the re-fit to points read off a figure


@dataclass(frozen=True)
class LawFit:
    """What `fit_law` found.

    Attributes:
        law: the constants.
        objective: the sum of the Huber losses at them.
        agreeing: how many of the starts ended within a thousandth of that objective.
        starts: how many there were.
    """

    law: ScalingLaw
    objective: float
    agreeing: int
    starts: int


@checked
def fit_law(
    parameters: Values,
    tokens: Values,
    losses: Values,
    *,
    delta: float = 1e-3,
    starts: Annotated[int, Range(1, 4500)] = 12,
) -> LawFit:
    """Fit the law to measured losses (eq-laws-fit).

    Args:
        parameters: N of each point.
        tokens: D of each point.
        losses: the measured loss of each point, in nats a token.
        delta: where the Huber loss of ln L turns from square to straight; residuals beyond it count as outliers.
        starts: L-BFGS starts from so many of the paper's grid of 4,500, those with the lowest objective.

    Raises:
        ValueError: fewer than five points, numbers that are not positive, or all points of one N or one D.
    """
    return best_fit(_points(parameters, tokens, losses), delta, starts)


@checked
def bootstrap_laws(
    parameters: Values,
    tokens: Values,
    losses: Values,
    *,
    resamples: Count,
    generator: torch.Generator,
    delta: float = 1e-3,
    starts: int = 3,
) -> list[ScalingLaw]:
    """The law fitted again to points drawn with replacement, ``resamples`` times; the spread is the fit's uncertainty.

    A draw in which fewer than three different N or D are left, or whose best constants are too large for a number, is drawn
    again. Arguments and errors as for `fit_law`.

    Raises:
        ValueError: also if a hundred times as many draws are not enough.
    """
    points = _points(parameters, tokens, losses)
    laws: list[ScalingLaw] = []
    for _ in range(100 * resamples):
        chosen = points[:, randint(points.shape[1], points.shape[1:], generator)]
        if chosen[0].unique().numel() >= 3 and chosen[1].unique().numel() >= 3:
            with contextlib.suppress(OverflowError):
                laws.append(best_fit(chosen, delta, starts).law)
        if len(laws) == resamples:
            return laws
    raise ValueError(
        f"points: got {len(laws)} laws from {100 * resamples} draws, wanted {resamples}: too few or too alike"
    )


def predicted_log(
    theta: Float[Tensor, "*batch 5"], points: Float[Tensor, "3 points"]
) -> Float[Tensor, "*batch points"]:
    """ln L of each point as the log-sum-exp of (eq-laws-fit); theta holds a, alpha, b, beta, e on its last axis."""
    a, alpha, b, beta, e = theta.unsqueeze(-1).unbind(-2)
    terms = (a - alpha * points[0], b - beta * points[1], e.expand(*theta.shape[:-1], points.shape[1]))
    return torch.stack(terms).logsumexp(0)


def _points(parameters: Values, tokens: Values, losses: Values) -> Float[Tensor, "3 points"]:
    """ln N, ln D and ln L, one column for each point."""
    columns = [torch.as_tensor(column, dtype=torch.float64, device="cpu") for column in (parameters, tokens, losses)]
    names = ("parameters", "tokens", "losses")
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1 or len(columns[0]) < 5:
        shapes = ", ".join(f"{name} {tuple(column.shape)}" for name, column in zip(names, columns, strict=True))
        raise ValueError(f"points: got {shapes}, wanted three lists of one length, at least 5")
    for name, column in zip(names, columns, strict=True):
        if not (torch.isfinite(column).all() and (column > 0).all()):
            raise ValueError(f"{name}: got {float(column.min()):g} as the least, wanted finite numbers above 0")
    for name, column in zip(names[:2], columns[:2], strict=True):
        if column.unique().numel() < 3:
            raise ValueError(f"{name}: got {column.unique().numel()} different values, wanted at least 3")
    return torch.stack(columns).log()


@checked
def best_fit(points: Float[Tensor, "3 points"], delta: Positive, starts: int) -> LawFit:
    """The best of several descents, from those points of the grid that misfit least; points hold ln N, ln D and ln L."""
    middle = points.mean(1, keepdim=True)
    centred = torch.cat([points[:2] - middle[:2], points[2:]])
    grid = _grid(middle)
    order = misfit(grid, centred, delta).argsort()
    ends = [descend(grid[i].clone(), centred, delta) for i in order[:starts]]
    reached = [float(misfit(end, centred, delta)) for end in ends]
    lowest = min(reached)
    a, alpha, b, beta, e = ends[reached.index(lowest)].tolist()
    a, b = a + alpha * float(middle[0]), b + beta * float(middle[1])
    law = ScalingLaw(math.exp(e), math.exp(a), max(alpha, 1e-6), math.exp(b), max(beta, 1e-6))
    return LawFit(law, lowest, sum(one <= lowest * 1.001 + 1e-12 for one in reached), starts)


def _grid(middle: Float[Tensor, "3 1"]) -> Float[Tensor, "4500 5"]:
    """The paper's starts; its a and b belong to ln N and ln D, ours to these minus their means."""
    grid = torch.cartesian_prod(
        torch.arange(0, 26, 5.0), torch.arange(0, 2.1, 0.5), torch.arange(0, 26, 5.0), torch.arange(0, 2.1, 0.5),
        torch.arange(-1, 1.1, 0.5),
    ).double()  # fmt: skip
    grid[:, 0] -= grid[:, 1] * middle[0]
    grid[:, 2] -= grid[:, 3] * middle[1]
    return grid


def misfit(theta: Tensor, points: Tensor, delta: float) -> Tensor:
    """The sum over the points (not their mean: the sum is what keeps the optimiser from stopping early)."""
    found = predicted_log(theta, points)
    return F.huber_loss(found, points[2].expand_as(found), delta=delta, reduction="none").sum(-1)


def descend(theta: Tensor, points: Tensor, delta: float) -> Tensor:
    """L-BFGS; with residuals in units of delta, so that its tolerances mean what they say."""
    theta.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [theta],
        max_iter=600,
        history_size=20,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = misfit(theta, points, delta) / delta**2
        value.backward()
        return value

    optimizer.step(closure)
    return theta.detach()
