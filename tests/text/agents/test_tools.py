"""Questions, the two tools and answers, by hand."""

import pytest

from companion.data.energy_mix import national_grid, national_grids, national_mixes
from companion.text.agents.tools import (
    ASKED,
    FIELDS,
    NUMBER,
    TOKENS,
    Energy,
    Question,
    answer,
    call,
    drawn_questions,
    number_tokens,
    said,
    spelled,
)  # fmt: skip
from tests.conftest import gen

TABLE = Energy(national_grids(), national_mixes())


def tokens(text: str) -> list[int]:
    """Tokens that stand apart by blanks."""
    return [NUMBER[token] for token in text.split()]


def test_tokens_are_all_different() -> None:
    assert len(set(TOKENS)) == len(TOKENS)


def test_the_table_is_that_of_the_energy_mix() -> None:
    assert TABLE.look_up(("grams", "FRA")) == round(national_grid("FRA").grams_per_kwh)
    france = next(mix for mix in national_mixes() if mix.code == "FRA")
    assert TABLE.look_up(("wind", "FRA")) == dict(france.shares)["wind"]
    assert TABLE.look_up(("coal", "NOR")) == 0
    assert TABLE.look_up(("wind", "XXX")) is None and TABLE.look_up(("tide", "FRA")) is None


def test_what_a_call_returns() -> None:
    assert call(tokens("search( grams F R A )"), TABLE) == number_tokens(TABLE.look_up(("grams", "FRA")))
    assert spelled(call(tokens("calc( 1 2 + 9 9 )"), TABLE)) == "111"
    assert spelled(call(tokens("calc( 1 2 - 9 9 )"), TABLE)) == "- 87"
    for bad in (
        "search( grams F R )",
        "search( )",
        "calc( 1 2 + )",
        "calc( 1 2 )",
        "calc( - 1 + 2 )",
        "calc( wind + 2 )",
        "calc( )",
    ):
        assert spelled(call(tokens(bad), TABLE)) == "!", bad


def test_questions_and_their_answers() -> None:
    one = Question((("wind", "DEU"),))
    two = Question((("grams", "POL"), ("grams", "FRA")), "-")
    assert len(one.tokens()) == len(two.tokens()) == ASKED
    assert spelled(one.tokens()) == "wind DEU ?" and spelled(two.tokens()) == "grams POL - grams FRA ?"
    assert answer(two, TABLE) == TABLE.look_up(("grams", "POL")) - TABLE.look_up(("grams", "FRA"))
    assert answer(Question((("wind", "DEU"), ("solar", "DEU")), "+"), TABLE) == 27 + dict(
        next(mix for mix in national_mixes() if mix.code == "DEU").shares
    )["solar"] + (TABLE.look_up(("wind", "DEU")) - 27)
    assert answer(Question((("wind", "XXX"),)), TABLE) is None


def test_three_kinds_and_none_about_nothing() -> None:
    found = drawn_questions(TABLE.countries, 3_000, gen(0))
    kinds = [sum(q.sign == sign for q in found) / 3_000 for sign in ("", "+", "-")]
    assert kinds == pytest.approx([0.2, 0.4, 0.4], abs=0.03)
    for q in found:
        if q.sign == "+":
            assert q.terms[0][1] == q.terms[1][1] and q.terms[0][0] != q.terms[1][0] and "grams" not in dict(q.terms)
        elif q.sign:
            assert q.terms[0][0] == q.terms[1][0] and q.terms[0][1] != q.terms[1][1]
    assert {q.terms[0][0] for q in found} == set(FIELDS)
    few = TABLE.questions(200, TABLE.countries[:20], gen(1))
    assert len(few) == 200 and all(TABLE.look_up(term) for q in few for term in q.terms)
    assert {country for q in few for _, country in q.terms} <= set(TABLE.countries[:20])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("say 1 2 .", 12), ("say - 7 .", -7), ("search( wind say 4 .", 4), ("say 1 say 2 .", 2),
        ("say 1 2", None), ("say .", None), ("say wind .", None), ("1 2 .", None), ("say - .", None), (". say 1 .", None),
    ],
)  # fmt: skip
def test_what_was_said(text: str, number: int | None) -> None:
    assert said(tokens(text)) == number
