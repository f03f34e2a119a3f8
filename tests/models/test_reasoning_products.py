"""The shipped multiplier: it knows how to think, and seldom does."""

import pytest
import torch
from torch.nn.functional import pad

from companion.models.reasoning_products import TASK, build, load
from companion.text.reasoning.products import THINKS, Products
from companion.text.reasoning.tasks import sampled
from companion.weights import card


def test_its_sizes_are_the_tasks() -> None:
    model = build()
    assert (model.config.vocab_size, model.config.context) == (TASK.vocab_size, TASK.context)
    assert sum(p.numel() for p in model.parameters()) == card("reasoning_products").parameters == 226_944


def test_thought_is_the_two_smaller_products_and_mends_most_answers() -> None:
    """On questions held out; what it writes for 47 × 86 is what a demonstration would."""
    task, model = Products(held_out=True), load()
    questions = task.all_questions()[:200]
    told = task.judge(sampled(model, task, pad(questions, (0, 1), value=THINKS), None))
    free = task.judge(sampled(model, task, questions, None))
    assert float(told.right.float().mean()) > 0.85 > 0.6 > float(free.right.float().mean())
    assert float(free.thinks.float().mean()) < 0.1
    with torch.no_grad():
        thinks = model(questions)[:, -1].softmax(-1)[:, THINKS]
    assert float(thinks.mean()) == pytest.approx(TASK.thinking, abs=0.06)
