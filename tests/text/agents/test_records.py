"""Rows and sentences: there and back for every country, and a check that finds each kind of mistake."""

from dataclasses import replace

import pytest

from companion.data.energy_mix import Mix, national_mixes
from companion.text.agents.records import (
    LARGEST,
    VOCABULARY,
    checked_sentence,
    row_tokens,
    sentence,
    sentence_tokens,
    spelled,
    terawatt_hours,
)  # fmt: skip

NORWAY = Mix("NOR", "Norway", 2023, 153.59, (("hydro", 89), ("wind", 10), ("gas", 1)))
ICELAND = Mix("ISL", "Iceland", 2022, 19.87, (("hydro", 70),))


def test_sentences_and_rows_by_hand() -> None:
    assert sentence(NORWAY, 0) == "Norway made 154 TWh , 89 % of it from hydro and 10 % from wind ."
    assert sentence(NORWAY, 1) == "hydro gave 89 % of the 154 TWh of Norway , wind gave 10 % ."
    assert sentence(ICELAND, 2) == "Iceland made 19.9 TWh , 70 % of it from hydro ."
    row = ["<name>", "<twh>", *"19.9", "<share>", "hydro", *"70"]
    assert [VOCABULARY[i] for i in row_tokens(ICELAND)] == row
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_a_row_has_five_sources_at_most() -> None:
    many = replace(NORWAY, shares=tuple((source, 9) for source in ("hydro", "wind", "gas", "coal", "oil", "solar")))
    assert [VOCABULARY[i] for i in row_tokens(many)].count("<share>") == LARGEST == 5


def test_a_total_has_a_decimal_below_a_hundred() -> None:
    assert [terawatt_hours(replace(NORWAY, twh=x)) for x in (99.94, 100.0, 0.1)] == ["99.9", "100", "0.1"]


@pytest.mark.parametrize("template", [0, 1, 2])
def test_every_country_there_and_back(template: int) -> None:
    """Tokens of a sentence spell it, and it is right of its own row."""
    for mix in national_mixes():
        tokens = sentence_tokens(mix, template)
        assert VOCABULARY[tokens[-1]] == "<end>"
        assert spelled([*tokens, 7, 8], mix) == sentence(mix, template)
        verdict = checked_sentence(spelled(tokens, mix), mix)
        assert verdict.right, (mix, verdict)
        assert verdict.numbers == (3 if len(mix.shares) > 1 else 2)


def test_each_kind_of_mistake_is_found() -> None:
    right = sentence(NORWAY, 0)
    invented = checked_sentence(right.replace("89", "88"), NORWAY)
    assert (invented.invented, invented.misplaced, invented.right) == (1, 0, False)
    swapped = checked_sentence(right.replace("89", "x").replace("10", "89").replace("x", "10"), NORWAY)
    assert (swapped.invented, swapped.misplaced, swapped.right) == (0, 2, False)
    total = checked_sentence(right.replace("154", "89"), NORWAY)
    assert (total.invented, total.misplaced, total.right) == (0, 1, False)
    other = checked_sentence(right.replace("hydro", "gas"), NORWAY)
    assert not other.sources and other.misplaced == 1 and not other.right
    second = checked_sentence(right.replace("wind", "gas").replace("10", "1"), NORWAY)
    assert not second.sources and second.misplaced == second.invented == 0 and not second.right
    for broken in (
        right.replace("from hydro", "from"),
        right.replace("Norway", "Sweden"),
        right[:-1],
        f"{right} .",
        "",
    ):
        verdict = checked_sentence(broken, NORWAY)
        assert not verdict.form and not verdict.right and verdict.invented == 0
    assert checked_sentence("42 % of it from 89", NORWAY).invented == 1
    lone = checked_sentence(sentence(NORWAY, 1).replace("Norway", "Iceland"), ICELAND)
    assert lone.invented == 3 and not lone.sources
