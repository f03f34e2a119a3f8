"""Intervals: Wilson's against its printed formula, coverage by enumeration, the bootstrap against the closed form."""

import math

import pytest
import torch
from scipy.stats import binom, norm

from companion.metrics.intervals import Interval, bootstrap, percentile_interval, wilson


@pytest.mark.parametrize(("k", "n", "level"), [(0, 7, 0.95), (3, 7, 0.9), (7, 7, 0.99), (150, 300, 0.95), (1, 1, 0.5)])
def test_wilson_is_the_printed_formula(k: int, n: int, level: float) -> None:
    """(eq-bias-wilson)"""
    found, p, z = wilson(k, n, level=level), k / n, norm.ppf((1 + level) / 2)
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found.low == pytest.approx((middle - half) / (1 + z**2 / n), abs=1e-12)
    assert found.high == pytest.approx((middle + half) / (1 + z**2 / n), abs=1e-12)
    assert found.level == level


def test_wilson_covers_by_enumeration_where_the_textbook_interval_does_not() -> None:
    """Every outcome of 40 trials, weighted: at p = 0.02 k/n ± 1.96 standard errors holds p in little over half the cases."""
    n, p = 40, 0.02
    chance = [binom.pmf(k, n, p) for k in range(n + 1)]
    covered = sum(c for k, c in enumerate(chance) if p in wilson(k, n))
    textbook = sum(c for k, c in enumerate(chance) if abs(k / n - p) <= 1.96 * math.sqrt(k / n * (1 - k / n) / n))
    assert covered > 0.93
    assert textbook < 0.6


def test_wilson_of_no_success_is_not_a_point() -> None:
    assert wilson(0, 50).low == 0
    assert wilson(0, 50).high == pytest.approx(1.96**2 / (50 + 1.96**2), rel=1e-4)


def test_percentile_interval_is_the_middle_of_the_values() -> None:
    found = percentile_interval(list(range(101)), level=0.9)
    assert (found.low, found.high, found.level) == (pytest.approx(5), pytest.approx(95), 0.9)
    assert percentile_interval([2.5]) == Interval(2.5, 2.5)


def test_bootstrap_of_a_mean_has_the_standard_errors_width() -> None:
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)) * 3
    found = bootstrap(x, torch.mean, torch.Generator().manual_seed(1), resamples=4000)
    wanted = 2 * 1.96 * float(x.std(unbiased=False)) / math.sqrt(400)
    assert found.width == pytest.approx(wanted, rel=0.06)
    assert float(x.mean()) in found


def test_bootstrap_covers_the_true_share() -> None:
    generator = torch.Generator().manual_seed(2)
    held = sum(
        0.3 in bootstrap((torch.rand(100, generator=generator) < 0.3).float(), torch.mean, generator, resamples=200)
        for _ in range(200)
    )
    assert 0.88 <= held / 200 <= 0.99


def test_bootstrap_draws_whole_rows() -> None:
    """Pairs stay pairs: the difference of two equal columns is always zero."""
    x = torch.rand(30, 1, generator=torch.Generator().manual_seed(3)).repeat(1, 2)
    found = bootstrap(x, lambda s: (s[:, 0] - s[:, 1]).mean(), torch.Generator().manual_seed(4))
    assert found == Interval(0.0, 0.0)


def test_bootstrap_depends_on_its_generator_alone() -> None:
    x = torch.rand(30, generator=torch.Generator().manual_seed(3))
    a, b, c = (bootstrap(x, torch.median, torch.Generator().manual_seed(s), resamples=50) for s in (5, 5, 6))
    assert a == b != c


def test_clear_errors() -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(5, 4)
    with pytest.raises(ValueError, match="level"):
        wilson(1, 4, level=1)
    with pytest.raises(ValueError, match="values"):
        percentile_interval([])
    with pytest.raises(ValueError, match="level"):
        percentile_interval([1.0], level=0)
    with pytest.raises(ValueError, match="observations"):
        bootstrap(torch.ones(1), torch.mean, torch.Generator())
    with pytest.raises(ValueError, match="one number"):
        bootstrap(torch.ones(4, 2), lambda s: s.mean(0), torch.Generator())
