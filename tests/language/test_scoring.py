"""The objective is shifted once, the measure weighs tokens alike, and neither can be better than the truth."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.language.contract import check_tokens
from companion.language.scoring import mean_nats, next_token_loss, passages, perplexity, token_log_probs
from companion.nn.kv_cache import KVCache
from companion.text.gpt import GPT, GPTConfig
from companion.training import TrainConfig, train
from tests.conftest import rejects

CONFIG = GPTConfig(vocab_size=5, context=6, width=12, layers=2, heads=3)


def gpt(seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    return GPT(CONFIG)


def draw(*shape: int) -> torch.Tensor:
    return torch.randint(5, shape, generator=torch.Generator().manual_seed(1))


class Table(nn.Module):
    """A language model that looks only at the last token: row i holds the logits after token i."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.config, self.logits = CONFIG, nn.Parameter(logits, requires_grad=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.logits[input_ids]


def test_the_loss_is_the_mean_over_the_shifted_tokens() -> None:
    model, ids = gpt(), draw(3, 7)
    log_p = model(ids[:, :-1]).log_softmax(-1)
    by_hand = -sum(log_p[b, t, ids[b, t + 1]] for b in range(3) for t in range(6)) / 18
    torch.testing.assert_close(next_token_loss(model, (ids,)), by_hand)


def test_targets_are_shifted_exactly_once_I33() -> None:
    ids = torch.arange(7)[None] % 5  # x[t + 1] = x[t] + 1: the right table knows it, a copying one must not
    nxt = 50 * F.one_hot((torch.arange(5) + 1) % 5, 5).float()
    assert float(next_token_loss(Table(nxt), (ids,))) < 1e-6
    assert float(next_token_loss(Table(50 * torch.eye(5)), (ids,))) > 10
    assert float(next_token_loss(Table(nxt.roll(1, 1)), (ids,))) > 10


def test_passages_are_drawn_from_everywhere_and_each_stands_in_the_text() -> None:
    ids = torch.arange(20)
    (batch,) = passages(ids, 6)(400, torch.Generator().manual_seed(0))
    assert batch.shape == (400, 6)
    assert (batch.diff(dim=1) == 1).all()
    assert set(batch[:, 0].tolist()) == set(range(15))  # the last passage, too, and none beyond the end


@pytest.mark.parametrize("tokens", [2, 6, 7, 8, 13, 31])
def test_the_measure_is_token_weighted_whatever_the_batch_I42(tokens: int) -> None:
    model, ids = gpt(), draw(tokens)
    log_p = []
    for first in range(0, tokens - 1, 6):
        part = ids[first : first + 7]
        if len(part) > 1:
            log_p += F.cross_entropy(model(part[None, :-1])[0], part[1:], reduction="none").tolist()
    assert len(log_p) == tokens - 1
    expected = sum(log_p) / len(log_p)
    for batch_size in (1, 2, 64):
        assert math.isclose(mean_nats(model, ids, batch_size=batch_size), expected, rel_tol=1e-5)


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = gpt().train()
    mean_nats(model, draw(20))
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_perplexity_of_a_fair_die() -> None:
    assert math.isclose(perplexity(math.log(6)), 6)


def test_a_model_of_a_markov_chain_reaches_its_entropy_rate_and_no_less() -> None:
    """Truth: on a chain with known transitions no model is below the entropy rate, and a trained one gets there."""
    generator = torch.Generator().manual_seed(3)
    p = torch.rand(5, 5, generator=generator).pow(3)
    p /= p.sum(1, keepdim=True)
    steady = torch.linalg.matrix_power(p.double(), 500)[0].float()
    rate = float(-(steady[:, None] * p * p.log()).sum())
    chain = [0]
    for _ in range(20_000):
        chain.append(int(torch.multinomial(p[chain[-1]], 1, generator=generator)))
    ids = torch.tensor(chain)
    held = ids[16_000:]
    floor = mean_nats(Table(p.log()), held)  # the true model on this very text
    assert abs(floor - rate) < 0.03
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=5, context=6, width=16, layers=1, heads=2))
    untrained = mean_nats(model, held)
    config = TrainConfig(steps=300, batch_size=32, lr=1e-2, seed=0)
    result = train(model, next_token_loss, passages(ids[:16_000], 7), config)
    trained = mean_nats(result.model, held)
    unigram = float(-(steady * steady.log()).sum())
    assert abs(untrained - math.log(5)) < 0.05
    assert floor - 1e-3 < trained < floor + 0.02 < unigram


def test_bad_input() -> None:
    with rejects("length"):
        passages(torch.arange(5), 1)
    with rejects("passage"):
        passages(torch.arange(5), 6)
    with rejects("at least 2"):
        mean_nats(gpt(), draw(1))
    with rejects("context"):
        mean_nats(gpt(), draw(9), context=7)
    with rejects("int64"):
        check_tokens(torch.zeros(1, 2), None, 5)
    with rejects("from 0 to 5"):
        check_tokens(torch.tensor([[0, 5]]), None, 5)
    with rejects("from -1"):
        check_tokens(torch.tensor([[-1, 2]]), None, 5)
    with rejects("a state"):
        check_tokens(draw(1, 2), [KVCache()], 5)


def test_padding_on_either_side_changes_no_log_probability():
    model, ids = gpt(), draw(2, 6)
    mask = torch.tensor([[False, False, True, True, True, True], [True, True, True, False, False, False]])
    got = token_log_probs(model, ids, mask)
    assert (got[0, :2] == 0).all() and (got[1, 2:] == 0).all()
    torch.testing.assert_close(got[0, 2:], token_log_probs(model, ids[:1, 2:])[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(got[1, :2], token_log_probs(model, ids[1:, :3])[0], rtol=0, atol=1e-5)
