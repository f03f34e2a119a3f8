"""Toy distributions in the plane: what each loss makes a model do can be seen, and measured exactly where the law is known.

`ring` and `grid` are mixtures of round Gaussians with a known density and score (`PointSet.density`); `moons` have another
shape and no density here. All are generated, so `PointSet.draw` gives as many fresh points as
a training loop asks for.

Source: the ring of 8 and the grid of 25 Gaussians as tests of generative models: Srivastava et al., VEEGAN,
arXiv:1705.07761, and Metz et al., Unrolled GANs, arXiv:1611.02163. Radius and width here are our own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.data.sets import DataSet
from companion.data.splits import SPLITS
from companion.training.random import multinomial, rand, randint, randn
from companion.validate import (
    Count,
    Finite,
    NonNegative,
    Positive,
    check_choice,
    checked,
)

_SIZES = {"train": 8_000, "valid": 1_000, "test": 1_000}
_SEED = 1_705_077_61


@checked
@dataclass(frozen=True)
class GaussianMixture:
    r"""Round Gaussians of one width: :math:`p(x) = \sum_k w_k\, N(x;\, \mu_k, s^2 I)` (eq-mixture-density).

    Attributes:
        means: the centres.
        sd: the standard deviation of each Gaussian along each axis.
        weights: the share of each, summing to 1.
    """

    means: Finite[Tensor, "k d"]
    sd: Positive
    weights: Finite[Tensor, "k"]

    def __post_init__(self) -> None:
        if (self.weights < 0).any() or abs(float(self.weights.sum()) - 1) > 1e-5:
            raise ValueError(f"weights: got {self.weights.tolist()}, wanted shares from 0 that sum to 1")

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """The natural logarithm of the density."""
        return self._log_parts(x).logsumexp(1)

    def score(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        r"""The gradient of the log-density: :math:`\sum_k r_k(x)\, (\mu_k - x) / s^2` with the responsibilities r."""
        responsibilities = self._log_parts(x).softmax(1)
        return (responsibilities @ self.means.to(x) - x) / self.sd**2

    @checked
    def smoothed(self, sigma: NonNegative) -> "GaussianMixture":
        """The law of a point with Gaussian noise of standard deviation ``sigma`` added: a mixture again, but wider."""
        return GaussianMixture(self.means, math.hypot(self.sd, sigma), self.weights)

    @checked
    def scaled(self, factor: Positive) -> "GaussianMixture":
        """The law of a point multiplied by ``factor`` > 0."""
        return GaussianMixture(self.means * factor, self.sd * factor, self.weights)

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> tuple[Float[Tensor, "n d"], Int[Tensor, "n"]]:
        """``n`` points and the number of the Gaussian that each came from."""
        labels = multinomial(self.weights, n, generator, replacement=True)
        noise = randn((n, self.means.shape[1]), generator, self.means)
        return self.means[labels] + self.sd * noise, labels

    @checked
    def _log_parts(self, x: Float[Tensor, "n d={self.means.shape[1]}"]) -> Float[Tensor, "n k"]:
        squared = (x[:, None] - self.means.to(x)).square().sum(2)
        normaliser = self.means.shape[1] * math.log(self.sd * math.sqrt(2 * math.pi))
        return self.weights.to(x).log() - squared / (2 * self.sd**2) - normaliser


@dataclass(frozen=True, kw_only=True)
class PointSet(DataSet):
    """Points of the plane, a fixed sample of a law from which more can be drawn.

    Attributes:
        points: float32.
        labels: which part of the law (Gaussian, moon) each point came from, int64.
        sample: ``sample(n, generator)``, fresh points of shape (n, 2) and their labels.
        density: the exact law, where there is a closed form for it; None otherwise.
    """

    points: Float[Tensor, "n 2"]
    labels: Int[Tensor, "n"]
    sample: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    density: GaussianMixture | None

    def draw(self, n: int, generator: torch.Generator) -> tuple[Float[Tensor, "n 2"]]:
        """A fresh batch of ``n`` points, as `companion.training.train` takes it: ``train(..., data=points.draw)``."""
        return (self.sample(n, generator)[0],)

    @cached_property
    def mixture(self) -> GaussianMixture:
        """The exact law; an error for a set that has none."""
        if self.density is None:
            raise ValueError(f"{self.name}: got a set without a closed-form density, wanted 'ring' or 'grid'")
        return self.density

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"{self.name}, {self.split}: {len(self):,} points of the plane ({self.license}; {self.source})"


@checked
def ring(split: str = "train", *, modes: Count = 8, radius: Positive = 2.0, sd: float = 0.1) -> PointSet:
    """Gaussians on a circle, all with the same share: 8,000 points for training, 1,000 each to validate and to test.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        modes: how many Gaussians.
        radius: of the circle on which their means lie, the first one at angle 0.
        sd: the standard deviation of each along each axis.

    Raises:
        ValueError: an unknown split, no modes, a radius or standard deviation that is not above 0.
    """
    angles = torch.arange(modes) * (2 * math.pi / modes)
    means = radius * torch.stack([angles.cos(), angles.sin()], 1)
    return _mixture_set("ring", split, means, sd)


@checked
def grid(split: str = "train", *, side: Count = 5, spacing: Positive = 1.0, sd: float = 0.05) -> PointSet:
    """``side`` × ``side`` Gaussians on a square grid around the origin, all with the same share; the rest as for `ring`.

    Args:
        spacing: between two neighbouring means.
    """
    ticks = (torch.arange(side) - (side - 1) / 2) * spacing
    return _mixture_set("grid", split, torch.cartesian_prod(ticks, ticks), sd)


@checked
def moons(split: str = "train", *, noise: NonNegative = 0.1) -> PointSet:
    """Two interleaved half circles of radius 1, centred on the origin, with Gaussian noise; no closed-form density.

    Args:
        noise: its standard deviation.
    """

    @checked
    def sample(n: Count, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = randint(2, (n,), generator)
        angle = math.pi * rand((n,), generator)
        upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
        points = torch.where(labels[:, None] == 0, upper, -upper)
        return points + noise * randn((n, 2), generator), labels

    return _point_set("moons", split, sample, None)


def _mixture_set(name: str, split: str, means: Tensor, sd: float) -> PointSet:
    law = GaussianMixture(means, sd, torch.full((len(means),), 1 / len(means)))
    return _point_set(name, split, law.sample, law)


def _point_set(name: str, split: str, sample: Callable, density: GaussianMixture | None) -> PointSet:
    check_choice("split", split, (*SPLITS, "all"))
    # A stream of its own for each split: no point of one stands in another.
    parts = [
        sample(_SIZES[part], torch.Generator().manual_seed(_SEED + SPLITS.index(part)))
        for part in (SPLITS if split == "all" else (split,))
    ]
    points, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return PointSet(
        name=name, split=split, license="generated", source=f"companion.data.{name}",
        points=points, labels=labels, sample=sample, density=density,
    )  # fmt: skip
