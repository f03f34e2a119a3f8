"""What all tasks share: the loss on answers alone, and sampling."""

import torch
from torch.nn import functional as F

from companion.text.reasoning.parity import Parity
from companion.text.reasoning.products import Products
from companion.text.reasoning.tasks import answer_loss, sampled, written
from tests.conftest import gen
from tests.text.reasoning.model import small


def test_the_loss_is_that_of_the_answers_tokens_alone() -> None:
    task = Parity(5, 0.5)
    model, (ids, mask) = small(task), task.demonstrations(6, gen())
    log_p = model(ids[:, :-1]).log_softmax(-1)
    rows = [
        -log_p[row, place - 1, ids[row, place]]
        for row in range(len(ids))
        for place in range(task.context)
        if mask[row, place]
    ]
    found = answer_loss(model, (ids, mask))
    torch.testing.assert_close(found.total, torch.stack(rows).sum())
    assert int(found.count) == len(rows) == int(mask.sum())


def test_another_question_without_an_answer_changes_no_loss_I34() -> None:
    task = Parity(5, 0.5)
    model, (ids, mask) = small(task), task.demonstrations(6, gen())
    other = torch.cat([ids, task.demonstrations(2, gen(1))[0]])
    padded = answer_loss(model, (other, F.pad(mask, (0, 0, 0, 2))))
    torch.testing.assert_close(padded.mean(), answer_loss(model, (ids, mask)).mean())


def test_sampled_keeps_questions_side_by_side_and_fills_up_with_the_end() -> None:
    for task in (Parity(5), Products()):
        model, questions = small(task), task.questions(4, gen(1))
        ids = sampled(model, task, questions, gen(2), samples=3)
        assert ids.shape == (12, task.context)
        assert torch.equal(ids[:, : task.asked], questions.repeat_interleave(3, 0))
        length, ended, mask = written(ids, task.asked, task.end)
        for row, size, done, marked in zip(ids.tolist(), length.tolist(), ended.tolist(), mask, strict=True):
            answer = row[task.asked :]
            assert (task.end in answer) == done
            assert size == (answer.index(task.end) if done else len(answer))
            assert set(answer[size:]) <= {task.end}
            assert marked.nonzero()[:, 0].tolist() == list(range(task.asked, task.asked + size + done))


def test_without_a_generator_the_likeliest_answer_each_time() -> None:
    task = Parity(5)
    model, questions = small(task), task.questions(4, gen(1))
    assert torch.equal(sampled(model, task, questions, None), sampled(model, task, questions, None))
    several = sampled(model, task, questions, None, samples=2)
    assert torch.equal(several[::2], several[1::2])
