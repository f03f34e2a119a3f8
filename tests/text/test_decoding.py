"""Likelihood and repetition of continuations: closed forms, dependence, bad input."""

import math

import pytest
import torch

from companion.language.scoring import mean_nats
from companion.text.decoding import continuation_nats, distinct, repetition
from companion.text.gpt import GPT, GPTConfig
from tests.conftest import rejects


@pytest.fixture
def model() -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=11, context=12, width=8, layers=1, heads=2))


def test_repetition_by_hand():
    """abababab has 5 four-grams of 2 kinds; abcdefgh has 5 of 5 kinds. The mean over texts, not over all grams."""
    assert repetition([[0, 1] * 4]) == pytest.approx(1 - 2 / 5)
    assert repetition([list(range(8))]) == 0
    assert repetition([[0, 1] * 4, list(range(8))]) == pytest.approx(0.3)
    assert repetition([[5] * 103]) == pytest.approx(0.99)


def test_distinct_by_hand():
    """Two equal texts halve the share; repetition within each does not see that."""
    text = torch.arange(6)
    assert distinct([text]) == 1 and distinct([text, text]) == pytest.approx(0.5)
    assert repetition([text, text], 2) == 0


def test_a_text_without_prompt_equals_mean_nats(model):
    ids = torch.randint(11, (3, 12))
    got = continuation_nats(model, ids, 1)
    for row in range(3):
        assert float(got[row]) == pytest.approx(mean_nats(model, ids[row]), abs=1e-5)


def test_an_untrained_output_pays_log_v(model):
    """With a token table of zeros all logits are equal."""
    torch.nn.init.zeros_(model.tokens.weight)
    ids = torch.randint(11, (2, 9))
    torch.testing.assert_close(continuation_nats(model, ids, 4), torch.full((2,), math.log(11)))


def test_only_the_continuation_counts(model):
    """The last token before the end of the prompt is free, the first after it is not; rows are independent."""
    ids = torch.randint(10, (2, 9))
    changed = ids.clone()
    changed[0, 4] += 1
    before, after = continuation_nats(model, ids, 5), continuation_nats(model, changed, 5)
    assert before[1] == after[1] and before[0] != after[0]
    with torch.no_grad():
        log_p = model(ids)[0].log_softmax(-1)
    want = -sum(float(log_p[t - 1, ids[0, t]]) for t in range(5, 9)) / 4
    assert float(before[0]) == pytest.approx(want, abs=1e-5)


def test_bad_input(model):
    with rejects("prompt"):
        continuation_nats(model, torch.zeros(1, 5, dtype=torch.long), 5)
    with rejects("n"):
        repetition([[1, 2, 3]], 4)
    with rejects("texts"):
        distinct([])
    with rejects("n"):
        distinct([[1, 2]], 0)


def test_pairs_are_counted_unless_asked_otherwise_and_a_text_may_be_one_gram():
    """ababc has 4 pairs of 3 kinds, 5 letters of 3 kinds, and 3 triples of 3 kinds."""
    text = [0, 1, 0, 1, 2]
    assert [distinct([text]), distinct([text], 1), distinct([text], 3)] == [3 / 4, 3 / 5, 1]
    assert repetition([[7, 7, 7, 7]]) == 0 and distinct([[7, 7]]) == 1
    with rejects("the shortest of 3 tokens, wanted at least n = 4"):
        repetition([[1, 2, 3]])
