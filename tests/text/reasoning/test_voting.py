"""Votes and what they are worth, against counting by simulation and by hand."""

import itertools
import math

import pytest
import torch

from companion.text.reasoning.voting import checked_chance, coverage, majority, majority_chance
from tests.conftest import gen, rejects


def test_the_most_frequent_answer_wins_and_of_several_the_smallest() -> None:
    given = torch.tensor([[7, 3, 7, 3, 9], [5, 5, 1, 1, 1], [2, 9, 9, 4, 2]])
    assert majority(given).tolist() == [3, 1, 2]


def test_no_answer_has_no_vote_unless_there_is_no_other() -> None:
    given = torch.tensor([[-1, -1, -1, 4], [-1, -1, -1, -1], [0, -1, -1, -1]])
    assert majority(given).tolist() == [4, -1, 0]


@pytest.mark.parametrize(("right", "n"), [(0.6, 1), (0.6, 5), (0.35, 9)])
def test_majority_by_all_outcomes(right: float, n: int) -> None:
    total = sum(
        math.prod(right if one else 1 - right for one in votes)
        for votes in itertools.product((0, 1), repeat=n)
        if sum(votes) > n / 2
    )
    assert majority_chance(right, n) == pytest.approx(total, abs=1e-12)


def test_of_one_answer_all_three_are_the_chance_of_that_one() -> None:
    assert majority_chance(0.6, 1) == coverage(0.6, 1) == pytest.approx(0.6)
    assert checked_chance(0.2, 1) == pytest.approx(0.2 + 0.8 / 2)
    assert checked_chance(0.2, 2) == pytest.approx(1 - 0.8**2 / 2)


def test_the_three_curves_are_what_drawing_gives() -> None:
    """Answers of which one in five is checked, hence right, and the others are coins."""
    n, trials, share = 7, 20_000, 0.2
    g = gen(2)
    checkable = torch.rand(trials, n, generator=g) < share
    right = checkable | (torch.rand(trials, n, generator=g) < 0.5)
    a = share + (1 - share) / 2
    voted = majority(right.long()) == 1
    assert float(voted.float().mean()) == pytest.approx(majority_chance(a, n), abs=0.012)
    assert float(right.any(1).float().mean()) == pytest.approx(coverage(a, n), abs=0.012)
    chosen = right.gather(
        1, checkable.long().argmax(1, keepdim=True)
    )  # a checkable one if there is one, else the first
    assert float(chosen.float().mean()) == pytest.approx(checked_chance(share, n), abs=0.012)


def test_rejects() -> None:
    with rejects("odd number"):
        majority_chance(0.6, 4)
    with rejects("right"):
        coverage(1.2, 3)
    with rejects("n"):
        checked_chance(0.2, 0)
