"""Wanderings: well written, the tools' words the tools', seldom right, and nothing of a real table in them."""

import random
import re

import pytest
import torch

from companion.text.agents.tools import (
    ASKED,
    CALC,
    CLOSE,
    END,
    SEARCH,
    Question,
    answer,
    call,
    drawn_questions,
    said,
    spelled,
)  # fmt: skip
from companion.text.agents.wandering import CONTEXT, Invented, wander, wanderings
from tests.conftest import gen

TWO = Question((("wind", "ABC"), ("solar", "ABC")), "+")


def test_results_are_what_the_calls_return_in_its_table() -> None:
    for seed in range(20):
        table = Invented(random.Random(seed))
        ids, own = wander(TWO, table, random.Random(seed))
        opened = 0
        for place, token in enumerate(ids):
            if token in (SEARCH, CALC):
                opened = place
            if token == CLOSE:
                wanted = call(ids[opened : place + 1], table)
                assert ids[place + 1 : place + 1 + len(wanted)] == wanted
                assert not any(own[place + 1 : place + 2 + len(wanted)]) and own[place]
        assert ids[-1] == END and own[-1] and said([t for t, mine in zip(ids, own, strict=True) if mine]) is not None


def test_few_are_right_and_some() -> None:
    right = 0
    for seed in range(300):
        table = Invented(random.Random(seed))
        ids, own = wander(TWO, table, random.Random(seed + 10**6))
        right += said([t for t, mine in zip(ids, own, strict=True) if mine]) == answer(TWO, table) is not None
    assert 0.02 < right / 300 < 0.15


def test_the_calls_are_half_well_chosen() -> None:
    """The shares that the module states, of 1,000 runs."""
    dice, right, searches, calculations = random.Random(0), {}, [], []
    for question in drawn_questions(["ABC", "BCD", "CDE", "DEF"], 1_000, gen(0)):
        table = Invented(random.Random(dice.random()))
        ids, own = wander(question, table, dice)
        given = said([t for t, mine in zip(ids, own, strict=True) if mine])
        right.setdefault(question.sign, []).append(given == answer(question, table) is not None)
        for found in re.finditer(r"search\( (\w+) (\w+) \)", spelled(ids)):
            searches.append(found.groups() in question.terms)
        for found in re.finditer(r"calc\( \d+ ([+-])", spelled(ids)):
            calculations += [found[1] == question.sign] if question.sign else []
    shares = [sum(found) / len(found) for found in (searches, calculations, *(right[sign] for sign in ("", "+", "-")))]
    assert shares == pytest.approx([0.85, 0.76, 0.45, 0.17, 0.09], abs=0.05)


def test_a_batch_is_filled_up_and_repeatable() -> None:
    ids, own = wanderings(50, gen(1))
    assert ids.shape == own.shape == (50, CONTEXT)
    assert not bool(own[:, :ASKED].any())
    assert torch.equal(ids, wanderings(50, gen(1))[0]) and not torch.equal(ids, wanderings(50, gen(2))[0])
    for row, mine in zip(ids, own, strict=True):
        last = int(mine.nonzero()[-1])
        assert int(row[last]) == END and bool((row[last:] == END).all())


def test_invented_entries_stay() -> None:
    table = Invented(random.Random(0))
    values = [table.look_up(("wind", f"AA{c}")) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2]
    assert values[:26] == values[26:] and None in values and len(set(values)) > 10
