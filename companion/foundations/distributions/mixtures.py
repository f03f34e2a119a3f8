r"""Mixture models: several simple distributions with weights, and expectation maximisation (EM), which fits any of them.

$p(x) = \sum_k \pi_k \, p_k(x)$ (``eq-dist-mixture``). EM (Dempster, Laird & Rubin, 1977) repeats: which component made
each example, $r_{nk} = \pi_k p_k(x_n) / p(x_n)$ (``eq-dist-responsibility``), then refit each component with the weights
$r_{nk}$, and $\pi_k = \frac1N \sum_n r_{nk}$ (``eq-dist-em``). No step lowers the likelihood. Taught in the lesson
`distributions`.

Departing from the paper, a component's refit may be a step of EM of its own instead of a maximum (factor analysers),
which keeps the guarantee, and a component that has lost all its examples stays as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.training.precision import widened
from companion.training.random import multinomial, randint
from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    check_count,
    checked,
)

LOST = 1e-3  # a component with fewer examples than this is not refitted


@runtime_checkable
class Component(Protocol):
    """What EM needs of a component: `DiagonalGaussian`, `FullGaussian`, `Bernoulli` and `FactorAnalyser` have it."""

    def log_prob(self, x: Tensor) -> Tensor: ...
    def sample(self, n: int, generator: torch.Generator) -> Tensor: ...
    def refit(self, x: Tensor, weights: Tensor, floor: float) -> "Component": ...


@checked
@dataclass(frozen=True)
class Mixture:
    """p(x) = sum_k weights_k p_k(x).

    Attributes:
        log_weights: logarithms of weights that sum to 1.
        components: k distributions over the same d dimensions.
    """

    log_weights: Finite[Tensor, "k"]
    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        if len(self.log_weights) != len(self.components):
            raise ValueError(
                f"components: got {len(self.components)}, wanted one for each of {len(self.log_weights)} weights"
            )
        if abs(float(self.log_weights.logsumexp(0))) > 1e-4:
            total = float(self.log_weights.exp().sum())
            raise ValueError(f"log_weights: got weights that sum to {total:g}, wanted 1; use log_softmax")

    def log_joint(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """log pi_k + log p_k(x_n)."""
        x = widened(x)  # of two log-densities of hundreds of nats half precision would round the difference away
        return torch.stack([c.log_prob(x) for c in self.components], 1) + self.log_weights

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        return self.log_joint(x).logsumexp(1)

    def responsibilities(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The probability that component k made example n."""
        return self.log_joint(x).softmax(1)

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n d"]:
        chosen = multinomial(self.log_weights.exp(), n, generator, replacement=True)
        draws = {k: self.components[k].sample(int((chosen == k).sum()), generator) for k in chosen.unique().tolist()}
        first = next(iter(draws.values()))
        x = first.new_empty(n, first.shape[1])
        for k, rows in draws.items():
            x[chosen == k] = rows
        return x


@dataclass(frozen=True)
class EMResult:
    """What EM found.

    Attributes:
        mixture: after the last step.
        log_likelihood: the mean log-likelihood of an example before each step and after the last, in nats.
    """

    mixture: Mixture
    log_likelihood: list[float]


def em_step(mixture: Mixture, x: Float[Tensor, "n d"], floor: float) -> tuple[Mixture, float]:
    """One step of EM, and the mean log-likelihood before it.

    Args:
        floor: the components' lower bound on variances (on probabilities for `Bernoulli`).
    """
    log_joint = mixture.log_joint(x)
    r = log_joint.softmax(1)
    counts = r.sum(0)
    components = tuple(c.refit(x, r[:, k], floor) if counts[k] > LOST else c for k, c in enumerate(mixture.components))
    # Not exactly zero, so that the logarithm of a lost component's weight stays finite.
    log_weights = counts.clamp(min=1e-30).log().log_softmax(0)
    return Mixture(log_weights, components), log_joint.logsumexp(1).mean().item()


@checked
def fit_mixture(start: Mixture, x: Finite[Tensor, "n d"], steps: Count, *, floor: Positive = 1e-6) -> EMResult:
    """``steps`` steps of EM from a first guess."""
    history, mixture = [], start
    for _ in range(steps):
        mixture, before = em_step(mixture, x, floor)
        history.append(before)
    history.append(mixture.log_prob(x).mean().item())
    return EMResult(mixture, history)


@checked
def from_groups(x: Float[Tensor, "n d"], groups: Int[Tensor, "n"], make: Callable[[Tensor], Component]) -> Mixture:
    """A first guess: ``make`` fits one component to each group of examples; the groups' sizes are the weights."""
    names, counts = groups.unique(return_counts=True)
    log_weights = (counts.to(x.dtype) / len(x)).log()
    return Mixture(log_weights, tuple(make(x[groups == name]) for name in names))


@checked
def k_means(
    x: Finite[Tensor, "n d"], k: int, generator: torch.Generator, *, steps: Annotated[int, Range(0)] = 10
) -> Int[Tensor, "n"]:
    """The nearest of ``k`` centres for each example (`k_means_centres`)."""
    return torch.cdist(x, k_means_centres(x, k, generator, steps=steps)).argmin(1)


@checked
def k_means_centres(
    x: Finite[Tensor, "n d"],
    k: int,
    generator: torch.Generator,
    *,
    weights: Float[Tensor, "n"] | None = None,
    steps: Annotated[int, Range(0)] = 10,
) -> Float[Tensor, "k d"]:
    """``k`` centres, after ``steps`` rounds of moving each to the mean of the examples that are nearest to it.

    The first centres are examples: one by equal chance, then each with a chance that grows with its squared distance from
    those before (Arthur & Vassilvitskii, 2007). A centre without examples stays where it is.

    Args:
        weights: how much each example counts, in those chances and in the means; one each if not given.
    """
    check_count("k", k, high=len(x))
    weights = torch.ones_like(x[:, 0]) if weights is None else weights
    centres, far = x[randint(len(x), (1,), generator, like=x)], torch.full_like(x[:, 0], torch.inf)
    while len(centres) < k:
        far = torch.minimum(far, torch.cdist(x, centres[-1:])[:, 0])
        chance = weights * far**2
        centres = torch.cat([centres, x[multinomial(chance if chance.sum() > 0 else weights, 1, generator)]])
    for _ in range(steps):
        nearest = torch.cdist(x, centres).argmin(1)
        total = torch.zeros_like(centres[:, 0]).index_add_(0, nearest, weights)[:, None]
        mean = torch.zeros_like(centres).index_add_(0, nearest, weights[:, None] * x) / total
        centres = torch.where(total > 0, mean, centres)
    return centres
