"""Reading row by row: what a state has seen, and what each loss asks."""

import math

import torch

from companion.history.timeline.rows import RowReader, name_loss, next_row_loss, share_right
from tests.conftest import gen


def test_a_state_has_seen_the_rows_up_to_its_own() -> None:
    torch.manual_seed(0)
    model, images = RowReader(), torch.randn(3, 1, 8, 8, generator=gen())
    other = images.clone()
    other[:, :, 5] += 1
    same = (model.states(images) == model.states(other)).all(-1)
    assert same[:, :5].all() and not same[:, 5:].any()
    other = images.clone()
    other[:, :, 7] += 1
    assert not (model(images) == model(other)).any()


def test_the_next_row_is_predicted_from_the_rows_above() -> None:
    torch.manual_seed(0)
    model, images = RowReader(), torch.randn(3, 1, 8, 8, generator=gen())
    with torch.no_grad():
        model.next_row.weight.zero_()
        model.next_row.bias.zero_()
    assert torch.isclose(next_row_loss(model, (images,), gen()), images[:, :, 1:].square().mean())
    with torch.no_grad():
        model.next_row.weight.normal_(generator=gen(1))
        by_hand = [model.next_row(model.read(images[:, 0, :k])[0][:, -1]) - images[:, 0, k] for k in range(1, 8)]
    assert torch.isclose(next_row_loss(model, (images,), gen()), torch.stack(by_hand).square().mean())


def test_names_know_nothing_at_first_and_are_counted() -> None:
    model, images, labels = RowReader(), torch.randn(4, 1, 8, 8, generator=gen()), torch.tensor([0, 0, 3, 9])
    with torch.no_grad():
        model.name.weight.zero_()
        model.name.bias.zero_()
        model.name.bias[0] = 1e-6
    assert abs(name_loss(model, (images, labels), gen()).item() - math.log(10)) < 1e-4
    assert share_right(model, images, labels) == 0.5
