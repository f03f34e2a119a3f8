"""The shipped assistant: it answers a greeting in one turn, and listens to the question."""

import torch

from companion.language.processors import Temperature, TopP
from companion.models.chat_assistant import load, runs
from companion.text.chat.demonstrations import demonstrations
from companion.text.chat.template import reply_to
from companion.text.reasoning.tasks import answer_loss
from companion.weights import card
from tests.conftest import gen


def test_its_answers_end_and_are_words() -> None:
    model, tokens = load()
    assert sum(p.numel() for p in model.parameters()) == card("chat_assistant").parameters
    said = [reply_to(model, tokens, ["Hello!"], gen(i), processors=[Temperature(0.6), TopP(0.8)]) for i in range(12)]
    assert all(0 < len(tokens.encode(" " + text)) < 31 for text in said)
    assert sum(any(word in text for word in ("hi", "hello", "hey", "how", "what")) for text in said) >= 9


def test_another_question_makes_the_true_answer_less_likely() -> None:
    model, tokens = load()
    pairs = runs("test", 200, turns=(2,))
    strange = [(a, b) for (_, b), (a, _) in zip(pairs, pairs[5:] + pairs[:5], strict=True)]
    with torch.no_grad():
        own, other = (float(answer_loss(model, demonstrations(rows, tokens, 40))) for rows in (pairs, strange))
    assert other - own > 0.1
