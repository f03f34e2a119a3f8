"""The parity task: its demonstrations, its judge, and when a likeliest answer goes on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.text.reasoning.parity import ASKS, END, Parity, goes_on, running_parity
from companion.text.reasoning.tasks import Task
from tests.conftest import gen, rejects


def read(text: str) -> torch.Tensor:
    return torch.tensor([["01=.".index(sign) for sign in row] for row in text.split()])


def test_it_is_a_task() -> None:
    task = Parity(5)
    assert isinstance(task, Task)
    assert (task.asked, task.context, task.vocab_size, task.end) == (6, 12, 4, END)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_running_parity_is_the_exclusive_or_so_far(bits: list[bool]) -> None:
    wanted, so_far = [], False
    for bit in bits:
        so_far ^= bit
        wanted.append(int(so_far))
    assert running_parity(torch.tensor(bits).long()).tolist() == wanted


def test_demonstrations_answer_in_one_of_two_ways_and_are_always_right() -> None:
    task = Parity(6, thinking=0.3)
    ids, mask = task.demonstrations(4_000, gen())
    answers = task.judge(ids)
    assert answers.right.all() and torch.equal(answers.mask, mask)
    assert set(answers.length.tolist()) == {1, 6}
    assert float(answers.thinks.float().mean()) == pytest.approx(0.3, abs=0.03)
    long = ids[answers.thinks]
    assert torch.equal(long[:, 7:13], running_parity(long[:, :6]))
    assert (ids[:, 6] == ASKS).all() and (ids[:, -1] == END).all()
    assert mask.sum(1).tolist() == (answers.length + 1).tolist()
    assert not mask[:, :7].any()  # nothing of the question is learned


@pytest.mark.parametrize(("share", "lengths"), [(0.0, {1}), (1.0, {6})])
def test_all_or_none_think(share: float, lengths: set[int]) -> None:
    task = Parity(6, share)
    assert set(task.judge(task.demonstrations(50, gen())[0]).length.tolist()) == lengths


def test_the_judge_reads_the_last_digit_before_the_end() -> None:
    answers = Parity(4).judge(read("1011=1.... 1011=1101. 1011=0.... 1011=110.."))
    assert answers.given.tolist() == [1, 1, 0, 0]
    assert answers.right.tolist() == [True, True, False, False]
    assert answers.length.tolist() == [1, 4, 1, 3]
    assert answers.thinks.tolist() == [False, True, False, False]
    assert answers.mask.sum(1).tolist() == [2, 5, 2, 4]


@pytest.mark.parametrize("text", ["1011=.....", "1011=11011", "1011==....", "1011=1=..."])
def test_no_end_no_digit_no_answer(text: str) -> None:
    answers = Parity(4).judge(read(text))
    assert answers.given.tolist() == [-1] and not answers.right.any()


def test_what_stands_behind_the_end_changes_nothing() -> None:
    task = Parity(4)
    a, b = task.judge(read("1011=1....")), task.judge(read("1011=1.01="))
    assert torch.equal(a.given, b.given) and torch.equal(a.mask, b.mask) and torch.equal(a.length, b.length)


def test_how_often_an_answer_goes_on_is_what_demonstrations_do() -> None:
    """Of the demonstrations that begin with the first bit, counted."""
    task = Parity(8, thinking=0.2)
    ids, _ = task.demonstrations(20_000, gen(1))
    begins = ids[:, 9] == ids[:, 0]
    counted = float((ids[begins, 10] != END).float().mean())
    assert counted == pytest.approx(goes_on(0.2), abs=0.015) and goes_on(0.2) == pytest.approx(1 / 3)
    assert goes_on(1 / 3) == pytest.approx(0.5)


def test_spelled() -> None:
    task = Parity(4)
    assert task.spelled(read("1011=1101..")[0]) == "1011=1101."
    assert task.spelled(read("1011=11")[0]) == "1011=11"


def test_rejects() -> None:
    with rejects("bits"):
        Parity(0)
    with rejects("thinking"):
        Parity(3, 1.5)
