"""The products task: digits, thought, the judge, and what is held out."""

import pytest
import torch

from companion.text.reasoning.products import END, HELD_OUT, THINKS, Products, at_once, factors, thought
from companion.text.reasoning.tasks import Task
from tests.conftest import gen

SIGNS = "0123456789×=~."


def read(text: str) -> torch.Tensor:
    return torch.tensor([[SIGNS.index(sign) for sign in row] for row in text.split()])


def test_it_is_a_task() -> None:
    assert isinstance(Products(), Task)


def test_an_answer_at_once_and_one_that_thinks() -> None:
    asked = read("47×86= 10×10=")
    task = Products()
    spelled = [task.spelled(ids) for ids in torch.cat([asked, at_once(asked)], 1)]
    assert spelled == ["47×86=4042.", "10×10=0100."]
    spelled = [task.spelled(ids) for ids in torch.cat([asked, thought(asked)], 1)]
    assert spelled == ["47×86=~2826734042.", "10×10=~0000100100."]
    assert task.spelled(asked[0]) == "47×86="


def test_every_demonstration_is_right_and_one_in_so_many_thinks() -> None:
    task = Products(thinking=0.4)
    ids, mask = task.demonstrations(3_000, gen())
    answers = task.judge(ids)
    first, second = factors(ids)
    assert answers.right.all() and torch.equal(answers.given, first * second)
    assert float(answers.thinks.float().mean()) == pytest.approx(0.4, abs=0.03)
    assert torch.equal(answers.mask, mask) and set(mask.sum(1).tolist()) == {5, 12}
    assert ids.shape[1] == task.context


def test_each_question_is_held_out_or_not_and_none_twice() -> None:
    held, asked = Products(held_out=True).all_questions(), Products().all_questions()
    pairs = {tuple(ids.tolist()) for ids in torch.cat([held, asked])}
    assert len(held) == HELD_OUT and len(held) + len(asked) == len(pairs) == 8_100
    kept = {tuple(ids.tolist()) for ids in held}
    drawn = {tuple(ids.tolist()) for ids in Products().demonstrations(4_000, gen())[0][:, :6]}
    assert not kept & drawn
    assert {tuple(ids.tolist()) for ids in Products(held_out=True).questions(500, gen())} <= kept


def test_the_judge_wants_four_digits_and_an_end() -> None:
    texts = ["47×86=4042.......", "47×86=~2826734042.", "47×86=4043.......", "47×86=042........", "47×86=40421......"]
    padded = read(" ".join(text.ljust(18, ".") for text in texts))
    answers = Products().judge(padded)
    assert answers.given.tolist() == [4042, 4042, 4043, -1, 421]
    assert answers.right.tolist() == [True, True, False, False, False]
    assert answers.thinks.tolist() == [False, True, False, False, False]
    assert answers.length.tolist() == [4, 11, 4, 3, 5]


def test_a_wrong_thought_is_nobodys_business() -> None:
    assert Products().judge(read("47×86=~0000004042.")).right.all()


@pytest.mark.parametrize("text", ["47×86=404=........", "47×86=~28267304042", "47×86=............"])
def test_no_answer(text: str) -> None:
    assert Products().judge(read(text)).given.tolist() == [-1]


def test_signs() -> None:
    assert (SIGNS.index("~"), SIGNS.index(".")) == (THINKS, END)
