"""A budget of thought: the end is forbidden before it, and only then."""

import torch

from companion.text.reasoning.budget import MinLength
from companion.text.reasoning.parity import Parity
from companion.text.reasoning.tasks import sampled
from tests.conftest import gen, rejects
from tests.text.reasoning.model import small


def test_only_the_end_is_forbidden_and_only_before_the_budget_is_spent() -> None:
    rule, logits = MinLength(3, asked=5, end=2), torch.tensor([[1.0, 2.0, 9.0, 0.0]])
    for n in (5, 6, 7):
        assert rule(torch.zeros(1, n).long(), logits).tolist() == [[1.0, 2.0, -torch.inf, 0.0]]
    assert torch.equal(rule(torch.zeros(1, 8).long(), logits), logits)
    assert logits[0, 2] == 9  # the caller's own are as they were


def test_answers_are_as_long_as_asked() -> None:
    task = Parity(4)
    model, questions = small(task), task.questions(30, gen(1))
    for least in (0, 2, 4):
        ids = sampled(model, task, questions, gen(2), processors=[MinLength(least, task.asked, task.end)])
        assert int(task.judge(ids).length.min()) >= least
    assert int(task.judge(sampled(model, task, questions, gen(2))).length.min()) < 2


def test_rejects() -> None:
    with rejects("tokens"):
        MinLength(-1, 5, 2)
