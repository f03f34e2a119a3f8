"""The frontier of the family against the law's closed form, and the two ways to count."""

import pytest
import torch

from companion.scaling.laws.family import count_parameters, family_config, tokens_for
from companion.scaling.laws.fit import ScalingLaw
from companion.scaling.laws.frontier import family_size, frontier_power, sizes_along
from tests.conftest import rejects

LAW = ScalingLaw(E=1.2, A=20.0, alpha=0.35, B=300.0, beta=0.45)


@pytest.mark.parametrize("width", [24, 48, 96])  # whose hidden width is 8/3 of it exactly
def test_family_as_if_any_width_is_the_family(width: int) -> None:
    config, compute = family_config(width, 79), 1e12
    n, d = sizes_along(compute, 79, points=20_001)
    assert family_size(torch.tensor([float(width)]), 79).item() == count_parameters(config)
    nearest = (n - count_parameters(config)).abs().argmin()
    assert d[nearest].item() == pytest.approx(tokens_for(compute, config), rel=2e-3)


def test_with_the_table_the_power_is_the_closed_form() -> None:
    found = frontier_power(LAW, 1e10, 1e13, 79)
    assert found == pytest.approx(LAW.beta / (LAW.alpha + LAW.beta), abs=1e-3)


def test_without_the_table_the_power_is_larger_and_the_difference_goes_with_the_scale() -> None:
    """Pearce and Song's finding: a large table in a small model bends the power up; at large scale nothing is left of it."""
    small, large = ((frontier_power(LAW, c, 100 * c, 79, table=False)) for c in (1e9, 1e19))
    closed = LAW.beta / (LAW.alpha + LAW.beta)
    assert small > closed + 0.05
    assert large == pytest.approx(closed, abs=0.005)
    assert frontier_power(LAW, 1e9, 1e11, 1000, table=False) > small


def test_rejects() -> None:
    with rejects("compute"):
        sizes_along(0.0, 79)
    with rejects("low"):
        frontier_power(LAW, -1.0, 1e9, 79)
