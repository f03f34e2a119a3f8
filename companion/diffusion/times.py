r"""Times and noise levels: grids for samplers, and laws from which training draws.

Grids. `timesteps` picks a sampler's steps out of T as diffusers names them (Lin et al., arXiv:2305.08891, table 2: only
"trailing" begins at the noisiest step, T - 1, whatever the number of steps). `karras_sigmas` are the noise levels of Karras et
al., arXiv:2206.00364, equation 5: :math:`\sigma_i = \big(\sigma_{max}^{1/\rho} + \frac{i}{n-1}
(\sigma_{min}^{1/\rho} - \sigma_{max}^{1/\rho})\big)^\rho`; `geometric_sigmas` fall by equal factors.

Laws are called with ``(n, generator, like)`` and return n times. `LogitNormal`: a straight path's times, most of them in the
middle (Esser et al., arXiv:2403.03206, equation 19). `LogNormal`: the noise levels of Karras et al. `LogUniform`: all orders of
magnitude alike.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from companion.training.random import rand, randint, randn
from companion.validate import Count, Positive, Range, check_count, check_number, checked

# law(n, generator, like): n times on like's device.
TimeLaw = Callable[[int, torch.Generator, Tensor], Tensor]
Spacing = Literal["trailing", "leading", "linspace"]
SPACINGS = get_args(Spacing)


@checked
def timesteps(total: Count, steps: int, spacing: Spacing = "trailing") -> list[int]:
    """``steps`` of the steps total - 1, …, 0, falling, the noisiest first.

    Args:
        spacing: ``"trailing"``, evenly from total - 1; ``"leading"``, evenly up from 0, so that the noisiest steps are left
            out; ``"linspace"``, from total - 1 to 0, both included.
    """
    check_count("steps", steps, high=total)
    if spacing == "trailing":
        return [round(total - i * total / steps) - 1 for i in range(steps)]
    if spacing == "leading":
        return [i * (total // steps) for i in reversed(range(steps))]
    return [round(i * (total - 1) / max(steps - 1, 1)) for i in reversed(range(steps))]


@checked
def karras_sigmas(
    steps: Annotated[int, Range(2)], low: Positive = 0.002, high: float = 80.0, rho: Positive = 7.0
) -> Float[Tensor, "steps"]:
    """Falling noise levels from ``high`` to ``low``, the denser the lower; the greater ``rho``, the more so. In float64."""
    check_number("high", high, low=low, open_low=True)
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    return (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho


@checked
def geometric_sigmas(high: float, low: Positive, levels: Annotated[int, Range(2)]) -> Float[Tensor, "levels"]:
    """Noise levels from ``high`` down to ``low`` in equal ratios."""
    check_number("high", high, low=low, open_low=True)
    return torch.logspace(math.log10(high), math.log10(low), levels)


@checked
@dataclass(frozen=True)
class UniformSteps:
    """The whole steps from 0 to ``total`` - 1, all alike."""

    total: Count

    def __call__(self, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return randint(self.total, (n,), generator, like)


@checked
@dataclass(frozen=True)
class Uniform:
    """Times from ``low`` to ``high``, all alike."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_number("high", self.high, low=self.low, open_low=True)

    def __call__(self, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * rand((n,), generator, like)


@checked
@dataclass(frozen=True)
class LogitNormal:
    """Times in (0, 1) whose logit is N(mean, std²): a mean below 0 favours times near 0."""

    mean: float = 0.0
    std: Positive = 1.0

    def __call__(self, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return (self.mean + self.std * randn((n,), generator, like)).sigmoid()


@checked
@dataclass(frozen=True)
class LogNormal:
    """Noise levels whose logarithm is N(mean, std²); as given, those of Karras et al."""

    mean: float = -1.2
    std: Positive = 1.2

    def __call__(self, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return (self.mean + self.std * randn((n,), generator, like)).exp()


@checked
@dataclass(frozen=True)
class LogUniform:
    """Noise levels from ``low`` to ``high``, uniform in their logarithm."""

    low: Positive
    high: float

    def __post_init__(self) -> None:
        check_number("high", self.high, low=self.low, open_low=True)

    def __call__(self, n: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return self.low * (self.high / self.low) ** rand((n,), generator, like)
