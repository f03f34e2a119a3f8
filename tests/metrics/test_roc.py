"""ROC curves against counting at every threshold and against the rank statistic, and read at a fixed false-positive rate."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.metrics.roc import auc, roc
from tests.conftest import rejects


def scores() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)  # rounded: ties within and between the groups
    higher = (torch.randn(37, generator=g) * 2 + 1.5).round()
    return higher, torch.randn(53, generator=g).round()


def test_points_are_counted_at_every_value_that_occurs():
    higher, lower = scores()
    curve = roc(higher, lower)
    values = torch.cat([torch.tensor([torch.inf]), torch.cat([higher, lower]).unique().flip(0)]).double()
    assert torch.equal(curve.threshold, values)
    for group, share in ((higher, curve.true_positive), (lower, curve.false_positive)):
        torch.testing.assert_close(share, (group >= values[:, None]).double().mean(1), rtol=0, atol=1e-12)


few = st.lists(st.integers(-3, 3), min_size=1, max_size=8).map(lambda v: torch.tensor(v, dtype=torch.float32))


@given(few, few)
def test_area_is_the_share_of_pairs_in_order(a, b):
    pairs = (a[:, None] > b).double() + 0.5 * (a[:, None] == b).double()
    assert auc(a, b) == pytest.approx(float(pairs.mean()), abs=1e-12)


@given(few, few)
def test_swapping_the_groups_turns_the_area_round_and_a_monotone_map_leaves_it(a, b):
    assert auc(a, b) + auc(b, a) == pytest.approx(1)
    assert auc(a.exp(), b.exp()) == pytest.approx(auc(a, b))


def test_area_is_that_under_the_curve():
    higher, lower = scores()
    curve = roc(higher, lower)
    area = torch.trapezoid(curve.true_positive, curve.false_positive)
    assert abs(float(area) - auc(higher, lower)) < 1e-12


def test_power_is_read_where_it_is_allowed():
    higher, lower = torch.tensor([3.0, 2.0, 2.0, 0.0]), torch.tensor([2.0, 1.0, 0.0, -1.0])
    curve = roc(higher, lower)
    assert [curve.power_at(rate) for rate in (0.0, 0.24, 0.25, 0.5, 1.0)] == [0.25, 0.25, 0.75, 0.75, 1.0]
    assert roc(higher, higher).power_at(0.0) == 0.0  # nothing can be caught without a false alarm


def test_swapping_the_groups_mirrors_the_curve():
    higher, lower = scores()
    there, back = roc(higher, lower), roc(lower, higher)
    torch.testing.assert_close(there.false_positive, back.true_positive)
    torch.testing.assert_close(there.true_positive, back.false_positive)


@pytest.mark.parametrize("measure", [roc, auc])
def test_bad_input(measure):
    with rejects("higher"):
        measure(torch.tensor([]), torch.ones(2))
    with rejects("lower"):
        measure(torch.ones(2), torch.ones(2, 2))
    with rejects("lower"):
        measure(torch.ones(2), torch.tensor([float("nan")]))
    with rejects("floating"):
        measure(torch.ones(2).long(), torch.ones(2))


def test_a_rate_is_a_share():
    with rejects("rate"):
        roc(torch.ones(2), torch.zeros(2)).power_at(1.5)
