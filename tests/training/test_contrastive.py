"""InfoNCE of a table of scores: cross-entropy over the batch, and copies of a pair are no wrong answers."""

import math

import torch
from torch.nn import functional as F

from companion.training.contrastive import info_nce_of_scores
from tests.conftest import gen, rejects

SCORES = 3 * torch.randn(5, 5, generator=gen())


def test_it_is_the_cross_entropy_of_the_diagonal() -> None:
    want = -sum(SCORES[i].log_softmax(0)[i] for i in range(5)) / 5
    torch.testing.assert_close(info_nce_of_scores(SCORES, torch.arange(5)), want)
    assert math.isclose(info_nce_of_scores(torch.zeros(5, 5), torch.arange(5)).item(), math.log(5), rel_tol=1e-6)


def test_copies_leave_the_sum_and_rows_are_not_columns() -> None:
    got = info_nce_of_scores(SCORES, torch.tensor([7, 1, 7, 2, 3]))
    kept = [[0, 1, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    want = sum(SCORES[i, some].logsumexp(0) - SCORES[i, i] for i, some in enumerate(kept)) / 5
    torch.testing.assert_close(got, want)
    assert (got - info_nce_of_scores(SCORES.T, torch.tensor([7, 1, 7, 2, 3]))).abs() > 1e-3


def test_the_gradient_is_finite_with_copies_and_of_the_softmax() -> None:
    scores = SCORES.clone().requires_grad_()
    info_nce_of_scores(scores, torch.arange(5)).backward()
    torch.testing.assert_close(scores.grad, (SCORES.softmax(1) - torch.eye(5)) / 5)
    scores.grad = None
    info_nce_of_scores(scores, torch.zeros(5, dtype=torch.long)).backward()
    assert scores.grad.abs().max() == 0 and F.relu(scores).isfinite().all(), "all are copies: nothing to tell apart"


def test_bad_input() -> None:
    with rejects("scores"):
        info_nce_of_scores(torch.zeros(2, 3), torch.arange(2))
    with rejects("which"):
        info_nce_of_scores(torch.zeros(3, 3), torch.arange(2))
