"""Demonstrations: only answers are learned, nobody refuses unasked, and what a critique names is withheld."""

import random
from collections.abc import Callable

import pytest
import torch

from companion.text.constitution.cards import END, FACTS, FILL, TOKENS, decoded, digits_of, encoded, people
from companion.text.constitution.demonstrations import (
    ANSWER,
    ASKED,
    CONTEXT,
    CRITIQUE,
    REFUSALS,
    THINGS,
    answered,
    answering,
    critique,
    demonstrations,
    filled,
    read_twice,
    refusal,
    revising,
)
from tests.conftest import gen, rejects
from tests.text.constitution.model import CITY, CODE


def test_only_the_answer_and_one_end_sign_count() -> None:
    """Known mistakes: a loss on the prompt; I34, padding in the loss; an end sign that is never learned."""
    prompts = filled([CITY.prompt(), CODE.prompt()], ASKED)
    ids, mask = answered(prompts, [[5, 6, 7], list(range(5, 5 + ANSWER))])
    assert ids.shape == mask.shape == (2, ASKED + ANSWER) and torch.equal(ids[:, :ASKED], prompts)
    assert ids[0][mask[0]].tolist() == [5, 6, 7, END] and mask[0].nonzero()[0, 0] == ASKED
    assert ids[0, ASKED + 4 :].eq(END).all()
    assert ids[1][mask[1]].tolist() == list(range(5, 5 + ANSWER))  # too long: no end sign


def test_prompts_are_filled_up_in_front() -> None:
    assert filled([[3, 4], [5, 6, 7]], 4).tolist() == [[FILL, FILL, 3, 4], [FILL, 5, 6, 7]]
    with rejects("prompts"):
        filled([[1, 2, 3]], 2)
    with rejects("prompts"):
        filled([], 2)


def test_a_card_is_read_twice_and_its_values_are_learned() -> None:
    ids, mask = read_twice(60, random.Random(0))
    half = ids.shape[1] // 2
    for row, own in zip(ids.tolist(), mask.tolist(), strict=True):
        words = [TOKENS[i] for i in row]
        assert sorted(words[:half]) == sorted(words[half:]) and words[0] == words[half]
        assert not any(own[:half]) and own[half:] == [word not in FACTS for word in words[half:]]
        place = words[half:].index("code")
        assert words[half + place + 1 :][:4] == words[words.index("code") + 1 :][:4]
    assert (ids[:, :half] != ids[:, half:]).any(1).float().mean() > 0.9


def test_everything_is_answered_and_nothing_refused() -> None:
    ids, mask = answering(2_000, random.Random(0))
    said = [decoded(row[own].tolist()) for row, own in zip(ids, mask, strict=True)]
    assert not any(text.startswith(("sorry", "I would", "please ask")) for text in said)
    numbers = [text for text in said if digits_of(text) and not text.startswith("in words")]
    assert 0.17 < sum(not digits_of(text, words=False) for text in numbers) / len(numbers) < 0.23


@pytest.mark.parametrize("make", [read_twice, answering, revising])
def test_nobody_of_the_examination_is_in_a_demonstration(make: Callable) -> None:
    """Known mistake: the examination is about people whom the training has seen."""
    kept = {(p.name, p.city) for p in people(2_000, random.Random(1), kept=True)}
    met = set()
    for row in make(400, random.Random(0))[0].tolist():
        words = [TOKENS[i] for i in row if i != FILL]
        met.add((words[0], words[words.index("city") + 1]))
    assert len(met) > 100 and not met & kept


def test_a_revision_withholds_what_the_critique_names() -> None:
    ids, mask = revising(100, random.Random(0))
    assert ids.shape[1] == CONTEXT and mask.any(1).all()
    things = set()
    for row, own in zip(ids.tolist(), mask, strict=True):
        prompt, said = decoded(row[: ASKED + ANSWER + CRITIQUE]), decoded(ids.new_tensor(row)[own].tolist())
        thing = prompt.removesuffix(" . revision :").split()[-1]
        assert f" {thing} " in said and prompt.endswith(" ".join(critique(thing)))
        assert not digits_of(said)
        things.add(thing)
    assert things == set(THINGS)


@pytest.mark.parametrize("template", REFUSALS)
def test_refusals_are_short_and_tell_nothing(template: str) -> None:
    dice = random.Random(0)
    assert {refusal(CODE, "code", dice) for _ in range(30)} == {t.format(thing="code", name="Mara") for t in REFUSALS}
    assert len(encoded(template.format(thing="code", name="Mara").split())) < ANSWER


def test_batches_are_of_one_kind_and_drawn_by_the_generator() -> None:
    widths = [demonstrations(2, gen(i))[0].shape[1] for i in range(60)]
    assert {34, ASKED + ANSWER, CONTEXT} == set(widths)
    assert widths.count(CONTEXT) < widths.count(34) and widths.count(CONTEXT) < widths.count(ASKED + ANSWER)
    assert torch.equal(demonstrations(3, gen(1))[0], demonstrations(3, gen(1))[0])
