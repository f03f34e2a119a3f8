"""The shipped assistant: it answers a greeting in one turn, and listens to the question."""

import pytest
import torch

from companion.language.processors import Temperature, TopP
from companion.language.tokenizers import ByteLevelBPE
from companion.models.chat_assistant import load, runs
from companion.text.chat.demonstrations import demonstrations
from companion.text.chat.template import reply_to
from companion.text.llama import Llama
from companion.text.reasoning.tasks import answer_loss
from companion.weights import card
from tests.conftest import gen

Shipped = tuple[Llama, ByteLevelBPE]


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    """The assistant and its tokenizer, read once."""
    return load()


def test_its_answers_end_and_are_words(shipped: Shipped) -> None:
    model, tokens = shipped
    assert sum(p.numel() for p in model.parameters()) == card("chat_assistant").parameters
    said = [reply_to(model, tokens, ["Hello!"], gen(i), processors=[Temperature(0.6), TopP(0.8)]) for i in range(12)]
    assert all(0 < len(tokens.encode(" " + text)) < 31 for text in said)
    assert sum(any(word in text for word in ("hi", "hello", "hey", "how", "what")) for text in said) >= 9


def test_a_question_from_another_conversation_makes_the_true_answer_less_likely(shipped: Shipped) -> None:
    model, tokens = shipped
    pairs = runs("test", 120, turns=(2,))
    half = len(pairs) // 2  # far more than any conversation has
    strange = [(a, b) for (_, b), (a, _) in zip(pairs, pairs[half:] + pairs[:half], strict=True)]
    with torch.no_grad():
        own, other = (float(answer_loss(model, demonstrations(rows, tokens, 40))) for rows in (pairs, strange))
    assert other - own > 0.1
