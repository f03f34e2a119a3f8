"""A mean over targets: the same loss and gradient however a batch is cut into parts, which a mean of means is not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.training import MaskedMean, TrainConfig, train
from tests.conftest import rejects
from tests.training.problems import asked_only, net, uneven, weights


def test_the_mean_is_sum_over_number() -> None:
    loss = MaskedMean(torch.tensor(6.0), torch.tensor(4))
    assert float(loss) == float(loss.mean()) == 1.5
    with rejects("no target"):
        MaskedMean(torch.tensor(0.0), torch.tensor(0)).mean()


def first_gradient(loss, data: tuple[torch.Tensor, ...], accumulate: int) -> tuple[float, torch.Tensor]:
    """Loss and gradient of one step: plain descent's change of the weights, by the gradient norm in the history."""
    model, seen = net(), []
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: seen.append(gradient))
    before = weights(model)
    config = TrainConfig(steps=1, batch_size=8, lr=1e-3, clip=1e9, accumulate=accumulate, weight_decay=0.0)
    history = train(model, loss, data, config).history
    assert len(seen) == accumulate * len([*model.parameters()]) and not torch.equal(before, weights(model))
    return history.loss[0], torch.tensor(history.grad_norm[0])


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_accumulated_parts_give_the_whole_batchs_loss_and_gradient(accumulate: int) -> None:
    data = tuple(part[:8] for part in uneven())
    whole, norm = first_gradient(asked_only, data, 1)
    x, y, asked = data
    by_hand = (net()(x)[:, :1] * torch.arange(1.0, 6.0) - y).square()[asked].mean()
    assert whole == pytest.approx(by_hand.item(), rel=1e-6)
    loss, other = first_gradient(asked_only, data, accumulate)
    assert loss == pytest.approx(whole, rel=1e-6)
    assert float(other) == pytest.approx(float(norm), rel=1e-6)

    def mean_of_means(*given: object) -> torch.Tensor:
        loss = asked_only(*given)
        return loss.mean() if loss.count else 0 * loss.total

    means, _ = first_gradient(mean_of_means, data, accumulate)
    assert abs(means - whole) > 1e-2 * whole  # what a mean of means gives


def test_all_gradients_are_the_whole_batchs() -> None:
    """Ten steps of AdamW end with the same weights, so every single gradient was the same, not only its norm."""
    ends = []
    for accumulate in (1, 2, 4):
        model = net()
        config = TrainConfig(steps=10, batch_size=8, lr=0.02, accumulate=accumulate)
        train(model, asked_only, uneven(), config)
        ends.append(weights(model))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(ends[2], ends[0], rtol=0, atol=1e-6)


def test_tokens_of_completions() -> None:
    """Eight rows with 1 or 11 targets each, cross-entropy over a table: the parts' means gave 3.27 for 3.35."""
    torch.manual_seed(0)
    ids, asked = torch.randint(30, (8, 12)), torch.arange(12)[None] < torch.tensor([1, 11] * 4)[:, None]

    def loss(model: nn.Module, batch: tuple[torch.Tensor, ...], _: torch.Generator) -> MaskedMean:
        ids, asked = batch
        nats = F.cross_entropy(model(ids).transpose(1, 2), ids.roll(1, 1), reduction="none")
        return MaskedMean((nats * asked).sum(), asked.sum())

    found = []
    for accumulate in (1, 2, 4):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Embedding(30, 8), nn.Linear(8, 30))
        history = train(model, loss, (ids, asked), TrainConfig(steps=3, batch_size=8, accumulate=accumulate)).history
        found.append(torch.tensor([history.loss, history.grad_norm]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[2], found[0], rtol=1e-6, atol=1e-6)


def test_a_batch_that_asks_for_nothing() -> None:
    x, y, asked = uneven()
    with rejects("no target"):
        train(net(), asked_only, (x, y, torch.zeros_like(asked)), TrainConfig(steps=1, batch_size=8))
