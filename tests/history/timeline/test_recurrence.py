"""The recall task, and through which cell the first step's gradient reaches the last."""

import pytest
import torch

from companion.history.timeline.recurrence import Recall, recall_task
from tests.conftest import gen, rejects


def test_the_symbol_stands_in_the_first_step_alone() -> None:
    x, symbol = recall_task(6, 5, gen())
    assert torch.equal(x[:, 0, :8].argmax(1), symbol) and torch.equal(x[:, 0].sum(1), torch.ones(6))
    assert not x[:, 1:, :8].any() and x[:, 1:, 8].abs().min() > 0


@pytest.mark.parametrize(
    ("make", "least", "most"),
    [
        (lambda: Recall("plain"), 0, 1e-6),
        (lambda: Recall("gated"), 1e-4, 1),
        (lambda: Recall("gated", forget=0), 0, 1e-6),
    ],
)
def test_the_gradient_of_the_first_step_survives_only_where_nothing_is_forgotten(make, least, most) -> None:
    torch.manual_seed(0)
    x = recall_task(4, 50, gen())[0].requires_grad_()
    make()(x).square().sum().backward()
    assert least <= float(x.grad[:, 0].norm()) <= most


def test_both_cells_have_about_as_many_weights() -> None:
    sizes = [sum(p.numel() for p in Recall(cell).parameters()) for cell in ("plain", "gated")]
    assert 0.9 < sizes[0] / sizes[1] < 1.1


def test_bad_input() -> None:
    with rejects("steps: got 1"):
        recall_task(4, 1, gen())
    with rejects("cell: got 'gru'"):
        Recall("gru")
