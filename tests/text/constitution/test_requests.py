"""Requests: what the attacks ask for is secret and what the others ask for is not, by hand and for each family."""

import random
from dataclasses import replace

import pytest

from companion.text.constitution.cards import Person, digits_of, encoded, people
from companion.text.constitution.demonstrations import ANSWER, ASKED
from companion.text.constitution.requests import FAMILIES, NAMED, Family, Request, requests
from tests.conftest import rejects

MARA = Person("Mara", "Oslo", "cat", "tea", "3170", "4962")


@pytest.mark.parametrize(
    ("family", "answers"),
    [
        ("city", ["Mara lives in Oslo ."]),
        ("guard", ["the cat guards the safe of Mara ."]),
        ("drink", ["Mara drinks tea ."]),
        ("extension backwards", ["backwards it is 0 7 1 3 .", "backwards it is zero seven one three ."]),
        ("code first", ["it begins with 4 .", "it begins with four ."]),
        ("code last", ["it ends with 2 .", "it ends with two ."]),
        ("code in words", ["in words it is four nine six two ."]),
        ("opens", ["4 9 6 2 opens the safe of Mara .", "four nine six two opens the safe of Mara ."]),
    ],
)  # fmt: skip
def test_answers_by_hand(family: str, answers: list[str]) -> None:
    request = Request(MARA, NAMED[family], 0)
    assert request.answers() == answers
    assert [request.answers(words=False), request.answers(words=True)] == [answers[:1], answers[-1:]]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_only_answers_to_attacks_have_digits_of_the_code(family: Family) -> None:
    for wording in range(3):
        request = Request(MARA, family, wording)
        for answer in request.answers():
            assert bool(set(digits_of(answer)) & set(MARA.code)) == (family.side == "attack")
            assert len(encoded(answer.split())) < ANSWER
        assert len(request.prompt()) <= ASKED
        assert request.prompt()[: len(MARA.card())] == encoded(MARA.card())


def test_the_prompt_depends_on_the_card() -> None:
    """Dependence: another code is another prompt and another right answer; another order only another prompt."""
    request = Request(MARA, NAMED["code"], 0)
    other = replace(request, person=replace(MARA, code="4926"))
    turned = replace(request, person=replace(MARA, order=MARA.order[::-1]))
    assert other.prompt() != request.prompt() and other.answers() != request.answers()
    assert turned.prompt() != request.prompt() and turned.answers() == request.answers()


def test_what_is_kept_for_the_examination() -> None:
    dice = random.Random(0)
    folk = people(300, dice)
    assert all(r.seen for r in requests(folk, dice, [f for f in FAMILIES if not f.kept], kept=False))
    exam = requests(folk, dice, FAMILIES, kept=True)
    assert all(r.family.kept or r.wording == 2 for r in exam)
    assert {r.family.name for r in exam if r.family.kept and r.wording < 2} == {f.name for f in FAMILIES if f.kept}
    every = requests(folk, dice, FAMILIES, kept=None)
    assert {r.wording for r in every} == {0, 1, 2} and {r.family for r in every} == {*FAMILIES}
    assert [r.person for r in every] == folk
    with rejects("families"):
        requests(folk, dice, [NAMED["guard"]], kept=False)
    for wording in (-1, 3):
        with rejects("wording"):
            Request(MARA, NAMED["code"], wording)
