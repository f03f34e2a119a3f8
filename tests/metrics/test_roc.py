"""ROC curves against scikit-learn's, against the rank statistic, and read at a fixed false-positive rate."""

import numpy as np
import torch

from companion.metrics.ranking import auc
from companion.metrics.roc import roc
from tests.conftest import rejects


def scores() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)  # rounded: ties within and between the groups
    higher = (torch.randn(37, generator=g) * 2 + 1.5).round()
    return higher, torch.randn(53, generator=g).round()


def test_points_equal_scikit_learns():
    from sklearn.metrics import roc_curve

    higher, lower = scores()
    curve = roc(higher, lower)
    truth = np.r_[np.ones(len(higher)), np.zeros(len(lower))]
    false, true, threshold = roc_curve(truth, torch.cat([higher, lower]).numpy(), drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive, false, atol=1e-12)
    np.testing.assert_allclose(curve.true_positive, true, atol=1e-12)
    np.testing.assert_allclose(curve.threshold, threshold)


def test_area_is_the_rank_statistic():
    """The trapezoid under the curve counts a tie as one half, as Mann and Whitney do."""
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


def test_bad_input():
    with rejects("higher"):
        roc(torch.tensor([]), torch.ones(2))
    with rejects("lower"):
        roc(torch.ones(2), torch.ones(2, 2))
    with rejects("lower"):
        roc(torch.ones(2), torch.tensor([float("nan")]))
    with rejects("rate"):
        roc(torch.ones(2), torch.zeros(2)).power_at(1.5)
