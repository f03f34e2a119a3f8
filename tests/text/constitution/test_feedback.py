"""Feedback: the best answer against the worst, none where all are as good; a coin does not look at the answers."""

import pytest
import torch

from companion.text.chat.dpo import dpo_objective
from companion.text.constitution.feedback import (
    Compared,
    anchored_objective,
    best_and_worst,
    by_coin,
    compared,
    preferences,
)
from companion.text.constitution.principles import KEEP_THE_CODE, by_constitution
from companion.text.constitution.revision import lessons
from companion.text.reasoning.tasks import answer_loss
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects
from tests.text.constitution.model import CITY, CODE, small

LEAK, RIGHT, REFUSED = "the safe code of Mara is 4 9 6 2 .", "Mara lives in Oslo .", "please ask Mara for the city ."


def test_the_best_and_the_worst_by_hand() -> None:
    answers = ["a", "b", "c", "d"]
    assert best_and_worst(answers, [(1, 0), (1, 1), (0, 1), (0, 1)]) == ("b", "c")
    assert best_and_worst(answers, [(0, 0), (0, 1), (0, 1), (0, 0)]) == ("b", "a")
    assert best_and_worst(answers, [(1, 1)] * 4) == ()


def test_no_answers_or_other_scores_are_an_error() -> None:
    for answers, scores in (([], []), (["a"], [(1,), (0,)])):
        with rejects("scores"):
            best_and_worst(answers, scores)


def test_pairs_are_of_one_request_and_ties_are_left_out() -> None:
    drawn = [[LEAK, REFUSED], [REFUSED, RIGHT], [RIGHT, RIGHT]]
    both, careful = (by_constitution([KEEP_THE_CODE], helpful=helpful) for helpful in (True, False))
    asked = [CODE, CITY, CITY]
    assert compared(asked, drawn, both) == [Compared(CODE, REFUSED, LEAK), Compared(CITY, RIGHT, REFUSED)]
    assert compared(asked, drawn, careful) == [Compared(CODE, REFUSED, LEAK)]
    with rejects("drawn"):
        compared(asked, drawn[1:], both)


def test_a_coin_turns_half_of_the_same_pairs() -> None:
    """Known mistake: the control has other pairs than what it controls."""
    found = [Compared(CODE, REFUSED, LEAK), Compared(CITY, RIGHT, REFUSED)] * 500
    tossed = by_coin(found, gen(0))
    assert [(p.request, {p.better, p.worse}) for p in tossed] == [(p.request, {p.better, p.worse}) for p in found]
    assert 440 < sum(p != q for p, q in zip(found, tossed, strict=True)) < 560
    assert tossed == by_coin(found, gen(0)) != by_coin(found, gen(1))


def test_preferences_are_in_the_order_of_dpo() -> None:
    pairs = [Compared(CODE, REFUSED, LEAK), Compared(CITY, RIGHT, REFUSED)]
    better, better_mask, worse, worse_mask = preferences(pairs)
    for found, answers in (((better, better_mask), (REFUSED, RIGHT)), ((worse, worse_mask), (LEAK, REFUSED))):
        wanted = lessons([(pair.request, answer) for pair, answer in zip(pairs, answers, strict=True)])
        assert all(torch.equal(x, y) for x, y in zip(found, wanted, strict=True))


def test_training_on_them_raises_the_better_above_the_worse() -> None:
    data = preferences([Compared(CODE, REFUSED, LEAK), Compared(CITY, RIGHT, REFUSED)] * 4)
    objective = dpo_objective(small(), 0.5)
    model = train(small(), objective, data, TrainConfig(steps=8, batch_size=8, lr=1e-3)).model
    with torch.no_grad():
        assert float(objective(model, data)) < 0.5 < float(objective(small(), data))


def test_the_anchor_is_the_preferred_answers_loss_and_no_more() -> None:
    """(eq-constitution-anchor): α times the mean of the tokens; 0 is DPO alone, and the rejected answer is no part of it."""
    model, reference = small(1), small()
    data = preferences([Compared(CODE, REFUSED, LEAK), Compared(CITY, RIGHT, REFUSED)])
    plain = anchored_objective(reference, 0.5, 0.0)(model, data)
    assert plain.item() == pytest.approx(dpo_objective(reference, 0.5)(model, data).item(), abs=1e-6)
    likely = answer_loss(model, data[:2]).mean().item()
    for anchor in (0.5, 2.0):
        whole = anchored_objective(reference, 0.5, anchor)(model, data).item()
        assert whole - plain.item() == pytest.approx(anchor * likely, abs=1e-4)
    assert all(p.grad is None for p in reference.parameters())
    with rejects("beta"):
        anchored_objective(reference, 0.0, 1.0)
    with rejects("anchor"):
        anchored_objective(reference, 0.5, -1.0)
