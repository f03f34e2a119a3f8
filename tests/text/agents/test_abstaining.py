"""Risk and coverage by hand, and the threshold that bounds the risk."""

import math

import pytest
import torch

from companion.text.agents.abstaining import risk_coverage, threshold_for

SURE = torch.tensor([0.2, 0.9, 0.5, 0.7])
RIGHT = torch.tensor([False, True, True, False])


def test_curve_by_hand() -> None:
    """The surest first: right, wrong, right, wrong."""
    curve = risk_coverage(SURE, RIGHT)
    assert curve.threshold.tolist() == pytest.approx([0.9, 0.7, 0.5, 0.2])
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])


def test_the_lowest_threshold_that_bounds_the_risk() -> None:
    assert threshold_for(SURE, RIGHT, 0.4) == pytest.approx(0.5)  # not 0.9, although it bounds it too
    assert threshold_for(SURE, RIGHT, 0.1) == pytest.approx(0.9)
    assert threshold_for(SURE, RIGHT, 1.0) == pytest.approx(0.2)
    assert threshold_for(SURE, ~torch.ones(4, dtype=torch.bool), 0.4) == math.inf


def test_equals_are_answered_together() -> None:
    """Two of the same confidence, one right: no threshold answers the right one alone."""
    assert threshold_for(torch.tensor([0.5, 0.5]), torch.tensor([True, False]), 0.2) == math.inf


def test_a_threshold_keeps_its_promise_where_it_was_chosen() -> None:
    draw = torch.Generator().manual_seed(0)
    sure = torch.rand(200, generator=draw)
    right = torch.rand(200, generator=draw) < sure
    least = threshold_for(sure, right, 0.25)
    assert 1 - float(right[sure >= least].float().mean()) <= 0.25
    assert (sure >= least).sum() > 20
    with pytest.raises(ValueError, match="risk"):
        threshold_for(sure, right, 1.5)
