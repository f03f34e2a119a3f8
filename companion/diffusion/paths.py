r"""Paths from data to noise: how much of each is in :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon` (eq-path).

All that a loss or a sampler has to know of a path is `Path`: the two shares at a time, at which time the data are, a grid of
times for samplers and a law of times for training.

- `VariancePreserving`: :math:`\alpha_t = \sqrt{\bar\alpha_t}`, :math:`\sigma_t = \sqrt{1 - \bar\alpha_t}` (eq-ddpm-forward) in
  whole steps t = 0, …, T - 1, one less than in the paper, and -1 for the data: Ho, Jain & Abbeel, "Denoising Diffusion
  Probabilistic Models", arXiv:2006.11239, after Sohl-Dickstein et al., arXiv:1503.03585. With :math:`\alpha_t = 1 - \beta_t`,
  :math:`\bar\alpha_t = \prod_{s \le t} \alpha_s` and :math:`\bar\alpha_{-1} = 1`.
- `RectifiedFlow`: :math:`\alpha_t = t`, :math:`\sigma_t = 1 - t` (eq-fm-path); time runs from noise, 0, to data, 1, where many
  image models count the other way: Lipman et al., arXiv:2210.02747; Liu, Gong & Liu, arXiv:2209.03003.
- `VarianceExploding`: :math:`\alpha = 1`, and time *is* the noise level σ, down to 0: Karras et al., arXiv:2206.00364.

Departures: a schedule of few steps makes larger ones, so that noise is reached for every T; Lipman et al. keep a little noise
at t = 1, here there is none, as in rectified flow.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from companion.diffusion.times import LogNormal, Uniform, UniformSteps, karras_sigmas, timesteps
from companion.validate import Count, Finite, Positive, Range, check_number, check_shapes, checked

Variance = Literal["small", "large"]
# A number of steps, spread by the path; the times themselves, noise first; or a row of times for each example, (n, times).
Time = int | float
Times = int | Sequence[Time] | Tensor


@runtime_checkable
class Path(Protocol):
    """What is known of a path.

    Attributes:
        data: the time at which x_t is the data.
    """

    data: Time

    def alpha_sigma(self, t: Shaped[Tensor, "n"], like: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of data and noise at each example's time, shaped to multiply ``like``, of its type and device."""

    def times(self, steps: int) -> list[Time]:
        """The ``steps`` + 1 times of a sampler, from noise to data."""

    def random_times(self, n: int, generator: torch.Generator, like: Tensor) -> Shaped[Tensor, "n"]:
        """Times for training, if a loss has no law of its own."""


@checked
@dataclass(frozen=True, eq=False)
class VariancePreserving:
    """A noise schedule. Tables are float64 and stay on the CPU; what leaves has the type of the tensor that it is for.

    Two schedules are equal if their numbers are.

    Attributes:
        beta: the variance that step t adds, between 0 and 1.
    """

    beta: Finite[Tensor, "T"]
    data = -1

    def __post_init__(self) -> None:
        if not ((self.beta > 0) & (self.beta < 1)).all():
            low, high = float(self.beta.min()), float(self.beta.max())
            raise ValueError(f"beta: got values from {low:g} to {high:g}, wanted all between 0 and 1")
        object.__setattr__(self, "beta", self.beta.detach().cpu().double())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VariancePreserving) and torch.equal(self.beta, other.beta)

    def __hash__(self) -> int:
        return hash(tuple(self.beta.tolist()))

    @property
    def steps(self) -> int:
        return len(self.beta)

    @cached_property
    def alpha_bar(self) -> Float[Tensor, "T"]:
        """The share of the data's variance that is left after step t."""
        return torch.cumprod(1 - self.beta, 0)

    @cached_property
    def alpha_bar_before(self) -> Float[Tensor, "T"]:
        """As `alpha_bar`, of the step before: 1 before step 0."""
        return torch.cat([self.alpha_bar.new_ones(1), self.alpha_bar[:-1]])

    @cached_property
    def posterior_variance(self) -> Float[Tensor, "T"]:
        """The variance of q(x_{t-1} | x_t, x_0): 0 at t = 0, where x_{t-1} is x_0 itself."""
        return self.beta * (1 - self.alpha_bar_before) / (1 - self.alpha_bar)

    @checked
    def reverse_variance(self, variance: Variance) -> Float[Tensor, "T"]:
        """The variance of a step back: `posterior_variance` ("small") or `beta` ("large")."""
        return self.posterior_variance if variance == "small" else self.beta

    def at(self, table: Float[Tensor, "entries"], t: Int[Tensor, "n"], like: Tensor) -> Tensor:
        """The table's entries at the steps ``t``, shaped to multiply ``like``; a table of T + 1 entries ends with step -1's."""
        check_shapes(t=(t, f"{len(like)}"))
        least = self.steps - len(table)
        if t.dtype not in (torch.int64, torch.int32) or not (least <= int(t.min()) and int(t.max()) < self.steps):
            wanted = f"whole steps from {least} to {self.steps - 1}"
            raise ValueError(f"t: got {t.dtype} from {t.min()} to {t.max()}, wanted {wanted}")
        # The type changes before the device: not every device has float64.
        return table.to(like.dtype).to(like.device)[t.to(like.device)].reshape(-1, *[1] * (like.ndim - 1))

    @cached_property
    def _shares(self) -> tuple[Tensor, Tensor]:
        bar = torch.cat([self.alpha_bar, self.alpha_bar.new_ones(1)])  # index -1, the data, is the last
        return bar.sqrt(), (1 - bar).sqrt()

    def alpha_sigma(self, t: Int[Tensor, "n"], like: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self._shares
        return self.at(alpha, t, like), self.at(sigma, t, like)

    def times(self, steps: int) -> list[int]:
        return [*timesteps(self.steps, steps), self.data]

    def random_times(self, n: int, generator: torch.Generator, like: Tensor) -> Int[Tensor, "n"]:
        return UniformSteps(self.steps)(n, generator, like)


@checked
def linear_schedule(steps: Annotated[int, Range(2)]) -> VariancePreserving:
    """Ho et al.'s: beta rises in a straight line, at T = 1000 from 0.0001 to 0.02.

    With fewer steps each is larger in proportion (and at most 0.999), so that the sum stays and the end is noise for every T.
    """
    scale = 1000 / steps
    return VariancePreserving(torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64).clamp(max=0.999))


@checked
def cosine_schedule(steps: Count) -> VariancePreserving:
    """Nichol & Dhariwal's, arXiv:2102.09672: :math:`\\bar\\alpha` falls as cos², beta is at most 0.999.

    Their offset of 0.008 keeps the first steps from being too small to matter.
    """
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    level = torch.cos((share + 0.008) / 1.008 * math.pi / 2).square()
    return VariancePreserving((1 - level[1:] / level[:-1]).clamp(max=0.999))


@dataclass(frozen=True)
class RectifiedFlow:
    """The straight line from noise, t = 0, to data, t = 1."""

    data = 1.0

    def alpha_sigma(self, t: Float[Tensor, "n"], like: Tensor) -> tuple[Tensor, Tensor]:
        t = _float_times(t, like, high=1.0)
        return t.to(like.dtype), (1 - t).to(like.dtype)

    @checked
    def times(self, steps: Count) -> list[float]:
        return [i / steps for i in range(steps + 1)]

    def random_times(self, n: int, generator: torch.Generator, like: Tensor) -> Float[Tensor, "n"]:
        return Uniform()(n, generator, like)


@checked
@dataclass(frozen=True)
class VarianceExploding:
    """Noise is added to data that stay as they are; t is the noise's standard deviation.

    A sampler starts from noise that is times ``high``.

    Attributes:
        low: the sampler's last noise level before the data.
        high: its first.
    """

    low: Positive = 0.002
    high: float = 80.0
    data = 0.0

    def __post_init__(self) -> None:
        check_number("high", self.high, low=self.low, open_low=True)

    def alpha_sigma(self, t: Float[Tensor, "n"], like: Tensor) -> tuple[Tensor, Tensor]:
        sigma = _float_times(t, like, high=math.inf).to(like.dtype)
        return torch.ones_like(sigma), sigma

    def times(self, steps: int) -> list[float]:
        return [*karras_sigmas(steps, self.low, self.high).tolist(), self.data]

    def random_times(self, n: int, generator: torch.Generator, like: Tensor) -> Float[Tensor, "n"]:
        return LogNormal()(n, generator, like)


@checked
def q_sample(
    path: Path, x0: Float[Tensor, "n *axes"], t: Shaped[Tensor, "n"], noise: Float[Tensor, "n *axes"]
) -> Float[Tensor, "n *axes"]:
    """The point at time t on the path from data to noise (eq-path)."""
    alpha, sigma = path.alpha_sigma(t, x0)
    return alpha * x0 + sigma * noise


def log_ratio(path: Path, t: Shaped[Tensor, "n"], like: Tensor) -> Tensor:
    """:math:`\\lambda_t = \\log(\\alpha_t / \\sigma_t)`, half the log signal-to-noise ratio; infinite at the data."""
    alpha, sigma = path.alpha_sigma(t, like)
    return alpha.log() - sigma.log()


def for_each(time: Time | Tensor, x: Tensor) -> Shaped[Tensor, "n"]:
    """One time for each example of ``x``: whole steps as int64, others as floats of 32 bits or more."""
    if isinstance(time, Tensor):
        return time
    dtype = torch.int64 if isinstance(time, int) else torch.promote_types(x.dtype, torch.float32)
    return torch.full((len(x),), time, dtype=dtype, device=x.device)


def time_pairs(path: Path, times: Times, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A sampler's steps: pairs (from, to) of one time for each example of ``x``."""
    if isinstance(times, Tensor):
        check_shapes(times=(times, f"{len(x)} _"))
        columns = list(times.T)
    else:
        columns = [for_each(time, x) for time in (path.times(times) if isinstance(times, int) else times)]
    for t, s in pairwise(columns):
        check_towards_data(path, t, s)
        yield t, s


def check_towards_data(path: Path, t: Tensor, s: Tensor) -> None:
    """Raise ``ValueError`` unless each s is nearer to the data than its t."""
    if not bool(((s - path.data).abs() < (t - path.data).abs()).all()):
        raise ValueError(f"t, s: got {t.tolist()} and {s.tolist()}, wanted s nearer to the data's time, {path.data}")


def _float_times(t: Tensor, like: Tensor, high: float) -> Tensor:
    check_shapes(t=(t, f"{len(like)}"))
    if not t.is_floating_point() or not bool(((t >= 0) & (t <= high)).all()):
        raise ValueError(f"t: got {t.dtype} from {t.min():g} to {t.max():g}, wanted floats from 0 to {high:g}")
    return t.to(like.device).reshape(-1, *[1] * (like.ndim - 1))
