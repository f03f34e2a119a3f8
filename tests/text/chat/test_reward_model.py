"""Reward model: parity with TRL's loss form, the last token that counts, and that comparisons are learned."""

import pytest
import torch
from torch.nn import functional as F

from companion.text.chat.dpo import compare
from companion.text.chat.reward_model import ScalarModel, prefer, preference_loss, reward_loss
from companion.training import TrainConfig, train
from tests.conftest import gen
from tests.text.chat.model import small, world


def test_loss_is_logistic_regression_on_differences() -> None:
    a, b = torch.randn(9, generator=gen(0)), torch.randn(9, generator=gen(1))
    wanted = F.binary_cross_entropy_with_logits(a - b, torch.ones(9))
    torch.testing.assert_close(preference_loss(a, b), wanted)
    torch.testing.assert_close(preference_loss(a + 3, b + 3), wanted)  # a constant changes nothing


def test_the_number_is_read_at_the_last_token_that_counts_and_padding_changes_nothing() -> None:
    model = ScalarModel(small())
    torch.nn.init.normal_(model.body.out.weight)
    ids = torch.randint(5, (3, 5), generator=gen(0))
    mask = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 0, 0, 0], [0, 1, 1, 1, 0]]).bool()
    found = model.at_end(ids, mask)
    for row, last in enumerate((4, 1, 3)):
        assert found[row].item() == pytest.approx(model(ids[row : row + 1, : last + 1])[0, -1].item(), abs=1e-5)
    other = ids.clone()
    other[1, 2:], other[2, 4:] = 4 - other[1, 2:], 4 - other[2, 4:]
    torch.testing.assert_close(model.at_end(other, mask), found)


def test_it_is_a_copy_and_begins_without_an_opinion() -> None:
    model = small()
    scalar = ScalarModel(model)
    assert not scalar(torch.zeros(2, 3, dtype=torch.long)).any()
    torch.nn.init.ones_(scalar.body.tokens.weight)
    assert not torch.equal(model.tokens.weight, scalar.body.tokens.weight) and model.out.weight.shape == (5, 16)


def test_who_is_asked_prefers_with_the_chance_of_bradley_and_terry() -> None:
    first, second = torch.full((20_000,), 1.0), torch.full((20_000,), 0.2)
    share = float(prefer(first, second, gen(0)).float().mean())
    assert share == pytest.approx(1 / (1 + 2.718281828**-0.8), abs=0.012)


def test_it_learns_from_comparisons_what_is_better() -> None:
    here, model = world(), small()

    def utility(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return 8 * here.judge(ids).reward

    data, fresh = (compare(model, here, utility, n, gen(n)) for n in (600, 601))
    trained = train(ScalarModel(model), reward_loss, data, TrainConfig(steps=80, batch_size=64, lr=5e-3)).model
    with torch.no_grad():
        loss = float(reward_loss(trained, fresh))
    assert loss < 0.85 * 0.6931  # what a coin has
