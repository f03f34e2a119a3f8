"""The two pre-trained T5s: equal before, alike in what they know of words, far apart in what they know of matching halves."""

import pytest
import torch

from companion.models.t5_cheques import SHARE, TEXTS, build, load, tokenizer, untrained
from companion.text.t5.cheques import SpanBatches, cheque_texts
from companion.text.t5.text_to_text import target_loss
from companion.weights import card
from tests.conftest import gen


def nats(model, texts: list[str]) -> float:
    with torch.no_grad():
        return float(target_loss(model, tuple(SpanBatches(texts, tokenizer(), share=SHARE)(len(texts), gen(4)))))


def test_both_start_from_the_same_weights() -> None:
    first, second = build().values()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert 2 * sum(p.numel() for p in untrained().parameters()) == card("t5_cheques").parameters


def test_only_one_of_them_fills_gaps_by_looking_at_the_other_half() -> None:
    """On matched lines it needs a third of the nats; where halves are unrelated it is no better for it."""
    models = load()
    assert tuple(models) == TEXTS
    matched = cheque_texts("test", matched=True, limit=300)
    dealt = cheque_texts("test", matched=False, generator=gen(3), limit=300)
    assert nats(models["matched"], matched) < 0.35 * nats(models["dealt_out"], matched)
    assert nats(models["dealt_out"], dealt) < nats(models["matched"], dealt)
    assert nats(models["dealt_out"], matched) == pytest.approx(nats(models["dealt_out"], dealt), abs=0.12)
