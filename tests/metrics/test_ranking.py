"""The area under the ROC curve: against counting all pairs and against scikit-learn, with ties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from companion.metrics.ranking import auc
from tests.conftest import rejects

scores = st.lists(st.integers(-3, 3), min_size=1, max_size=8).map(lambda v: torch.tensor(v, dtype=torch.float32))


@given(scores, scores)
def test_equals_the_share_of_pairs_in_order_and_scikit_learn(a: torch.Tensor, b: torch.Tensor) -> None:
    pairs = (a[:, None] > b).double() + 0.5 * (a[:, None] == b).double()
    assert auc(a, b) == pytest.approx(float(pairs.mean()), abs=1e-12)
    labels = [1] * len(a) + [0] * len(b)
    assert auc(a, b) == pytest.approx(roc_auc_score(labels, torch.cat([a, b]).numpy()), abs=1e-9)


@given(scores, scores)
def test_swapping_the_groups_turns_it_round_and_a_monotone_map_leaves_it(a: torch.Tensor, b: torch.Tensor) -> None:
    assert auc(a, b) + auc(b, a) == pytest.approx(1)
    assert auc(a.exp(), b.exp()) == pytest.approx(auc(a, b))


def test_bad_input() -> None:
    one = torch.ones(3)
    with rejects("empty axis"):
        auc(one, torch.ones(0))
    with rejects("axes"):
        auc(torch.ones(3, 1), one)
    with rejects("NaN"):
        auc(one, one * torch.nan)
    with rejects("floating"):
        auc(one.long(), one)
