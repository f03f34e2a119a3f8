"""The parabola finds a planted floor, its interval holds the truth as often as it says, and the slope is the power."""

import math

import pytest
import torch

from companion.metrics.intervals import percentile_interval
from companion.scaling.laws.fit import ScalingLaw
from companion.scaling.laws.isoflop import Valley, exponent, extrapolate, fit_valley, resample_valley
from tests.conftest import rejects

SIZES = [1e3, 2e3, 4e3, 8e3, 1.6e4]
PLANTED = Valley(parameters=3_500.0, loss=2.1, curvature=0.2)


def losses(noise: float = 0.0, seed: int = 0, *, sizes: list[float] = SIZES) -> list[float]:
    drawn = torch.randn(len(sizes), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return [PLANTED.at(n) + noise * float(e) for n, e in zip(sizes, drawn, strict=True)]


class TestTruth:
    def test_planted_valley_is_recovered(self) -> None:
        found = fit_valley(SIZES, losses())
        assert found.parameters == pytest.approx(PLANTED.parameters, rel=1e-9)
        assert (found.loss, found.curvature) == pytest.approx((PLANTED.loss, PLANTED.curvature), rel=1e-9)

    def test_the_floor_of_a_law_is_its_closed_form(self) -> None:
        """N* of (eq-laws-frontier) with alpha = beta, where the valley is symmetric in ln N."""
        law = ScalingLaw(E=1.2, A=20.0, alpha=0.3, B=60.0, beta=0.3)
        for compute in (1e10, 1e13):
            best = law.optimum(compute).parameters
            sizes = [best * ratio for ratio in (0.25, 0.5, 1.0, 2.0, 4.0)]
            found = fit_valley(sizes, [float(law.loss(n, compute / (6 * n))) for n in sizes])
            assert found.parameters == pytest.approx(best, rel=1e-6)

    def test_slope_of_the_floors_is_the_laws_power(self) -> None:
        law = ScalingLaw(E=1.2, A=20.0, alpha=0.3, B=60.0, beta=0.5)
        computes = [1e9, 1e11, 1e14]
        found = exponent(computes, [law.optimum(c).parameters for c in computes])
        assert found == pytest.approx(0.5 / 0.8, rel=1e-9)

    def test_extrapolation_goes_on_along_the_power(self) -> None:
        computes = [1e9, 1e10, 4e11]
        assert extrapolate(computes, [3 * c**0.4 for c in computes], 1e13) == pytest.approx(3 * 1e13**0.4, rel=1e-9)

    def test_interval_holds_the_truth_as_often_as_it_says(self) -> None:
        """Ten runs a valley, 60 valleys, intervals of 80 %: between 60 % and 95 % of them hold the planted floor."""
        sizes, inside = SIZES * 2, 0
        for seed in range(60):
            drawn = resample_valley(
                sizes, losses(0.01, seed, sizes=sizes), resamples=60, generator=torch.Generator().manual_seed(seed)
            )
            spread = percentile_interval([math.log(valley.parameters) for valley in drawn], level=0.8)
            inside += math.log(PLANTED.parameters) in spread
        assert 36 <= inside <= 57

    def test_only_sizes_near_the_floor_are_used(self) -> None:
        """A wall that is no parabola does not move the floor."""
        far = [1.0, *SIZES, 1e8]
        found = fit_valley(far, [9.0, *losses(), 9.0])
        assert found.parameters == pytest.approx(PLANTED.parameters, rel=1e-9)
        assert fit_valley(far, [9.0, *losses(), 9.0], sizes=7).parameters != pytest.approx(3_500.0, rel=0.01)


class TestDependence:
    def test_order_of_the_runs_does_not_matter(self) -> None:
        y = losses(0.01)
        order = [3, 0, 4, 2, 1]
        other = fit_valley([SIZES[i] for i in order], [y[i] for i in order])
        assert other.parameters == pytest.approx(fit_valley(SIZES, y).parameters, rel=1e-9)

    def test_more_noise_means_a_wider_interval(self) -> None:
        widths = []
        for noise in (0.002, 0.02):
            drawn = resample_valley(SIZES, losses(noise), resamples=80, generator=torch.Generator().manual_seed(0))
            widths.append(percentile_interval([math.log(valley.parameters) for valley in drawn]).width)
        assert widths[1] > 3 * widths[0]


def test_rejects() -> None:
    with rejects("losses: got 2"):
        fit_valley(SIZES, [1.0, 2.0])
    with rejects("parameters: got 2"):
        fit_valley([1e3, 1e4, 1e3], [1.0, 2.0, 1.0])
    with rejects("opens downwards"):
        fit_valley(SIZES, [1.0, 2.0, 2.5, 2.0, 1.0])
    with rejects("at least 4"):
        resample_valley([1.0, 2.0, 4.0], [2.0, 1.0, 2.0], resamples=2, generator=torch.Generator())
    with rejects("sizes"):
        fit_valley(SIZES, losses(), sizes=2)
    with rejects("computes"):
        exponent([1e3], [1.0])
    with rejects("computes"):
        extrapolate([1e3, 1e4], [1.0], 1e5)
