r"""Confidence intervals: how far a measured share, mean or other statistic can be trusted.

- Wilson's interval for k successes in n trials (eq-bias-wilson): all shares p for which k/n lies within z standard errors,

  .. math:: \frac{k/n + z^2/2n \;\pm\; z \sqrt{\frac{k}{n}\big(1 - \frac{k}{n}\big)/n + z^2/4n^2}}{1 + z^2/n}

  It never leaves [0, 1] and does not shrink to nothing at k = 0, as k/n ± z standard errors does. Computed by `scipy.stats`.
- The bootstrap's percentile interval for any statistic: compute it again on samples drawn from the sample with
  replacement, and take the middle 95 %. It knows the chance of the draw only: not a bias of the statistic, nor that
  another training would have given another model. (`scipy.stats.bootstrap` draws NumPy's numbers and resamples each column on
  its own; here a row of a table stays whole.)

Sources: Wilson, "Probable inference, the law of succession, and statistical inference", JASA, 1927; Efron, "Bootstrap methods:
another look at the jackknife", Annals of Statistics, 1979.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.training.random import randint
from companion.validate import Count, check_count, check_number, checked


@dataclass(frozen=True)
class Interval:
    """A range that, made in this way again and again, holds the true value in ``level`` of all cases."""

    low: float
    high: float
    level: float = 0.95

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        return self.high - self.low


@checked
def wilson(successes: int, trials: Count, *, level: float = 0.95) -> Interval:
    """Wilson's interval for a share (eq-bias-wilson).

    Raises:
        ValueError: no trial, more successes than trials, or a level outside (0, 1).
    """
    check_count("successes", successes, low=0, high=trials)
    from scipy.stats import binomtest  # here: scipy.stats takes longer to import than this whole package

    low, high = binomtest(successes, trials).proportion_ci(_level(level), method="wilson")
    return Interval(float(low), float(high), level)


def percentile_interval(values: Sequence[float] | Float[Tensor, "n"], *, level: float = 0.95) -> Interval:
    """The middle ``level`` of the values: from the quantile (1 - level) / 2 to the quantile (1 + level) / 2.

    Raises:
        ValueError: no values, or a level outside (0, 1).
    """
    check_count("number of values", len(values))
    tail = (1 - _level(level)) / 2
    low, high = torch.as_tensor(values, dtype=torch.float64, device="cpu").quantile(
        torch.tensor([tail, 1 - tail], dtype=torch.float64)
    )
    return Interval(float(low), float(high), level)


@checked
def bootstrap(
    sample: Tensor,
    statistic: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    resamples: Count = 1000,
    level: float = 0.95,
) -> Interval:
    """The percentile interval of a statistic.

    Args:
        sample: independent observations along the first axis, at least two.
        statistic: ``statistic(sample)``, one number.
        generator: of the resamples.
        resamples: how often to draw.
        level: the share of resamples that the interval holds.

    Raises:
        ValueError: fewer than two observations, or a statistic that is not one number.
    """
    check_count("observations", len(sample), low=2)
    rows = randint(len(sample), (resamples, len(sample)), generator, sample)
    values = [torch.as_tensor(statistic(sample[row])) for row in rows]
    if values[0].numel() != 1:
        raise ValueError(f"statistic: got shape {tuple(values[0].shape)}, wanted one number")
    return percentile_interval(torch.stack([value.cpu().double().reshape(()) for value in values]), level=level)


def _level(level: float) -> float:
    check_number("level", level, low=0, high=1, open_low=True)
    if level == 1:
        raise ValueError("level: got 1, wanted a number below 1: only the whole line is certain")
    return level
