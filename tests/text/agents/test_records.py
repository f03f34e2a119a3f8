"""Rows and sentences: there and back for every country, and a check that finds each kind of mistake."""

from dataclasses import replace

import pytest

from companion.data.course_costs import Cost, course_costs
from companion.data.energy_mix import Mix, national_mixes
from companion.text.agents.records import (
    LARGEST,
    VOCABULARY,
    checked_sentence,
    facts,
    name_of,
    row_tokens,
    sentence,
    sentence_tokens,
    spelled,
)  # fmt: skip

NORWAY = Mix("NOR", "Norway", 2023, 153.59, (("hydro", 89), ("wind", 10), ("gas", 1)))
GPT = Cost("text/gpt2", 71.1, 938, 19)
ICELAND = Mix("ISL", "Iceland", 2022, 19.87, (("hydro", 70),))


def test_sentences_and_rows_by_hand() -> None:
    assert sentence(NORWAY, 0) == "Norway made 154 TWh , 89 % of it from hydro and 10 % from wind ."
    assert sentence(NORWAY, 1) == "hydro gave 89 % of the 154 TWh of Norway , wind gave 10 % ."
    assert sentence(ICELAND, 2) == "Iceland made 19.9 TWh , 70 % of it from hydro ."
    row = ["<name>", "<twh>", *"19.9", "<share>", "hydro", *"70"]
    assert [VOCABULARY[i] for i in row_tokens(ICELAND)] == row
    assert sentence(GPT, 0) == "text/gpt2 took 71.1 s and 938 MB for 19 claims ."
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_a_row_has_five_sources_at_most() -> None:
    many = replace(NORWAY, shares=tuple((source, 9) for source in ("hydro", "wind", "gas", "coal", "oil", "solar")))
    assert [VOCABULARY[i] for i in row_tokens(many)].count("<share>") == LARGEST == 5


def test_a_total_has_a_decimal_below_a_hundred() -> None:
    assert [facts(replace(NORWAY, twh=x))["twh"] for x in (99.94, 100.0, 0.1)] == ["99.9", "100", "0.1"]


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


@pytest.mark.parametrize("template", [0, 1, 2])
def test_a_lessons_sentence_is_right_of_it_alone(template: int) -> None:
    for cost in course_costs():
        verdict = checked_sentence(sentence(cost, template), cost)
        assert verdict.right and verdict.numbers == 3
        assert not any(checked_sentence(sentence(o, template), cost).form for o in course_costs() if o != cost)


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


def test_mistakes_about_a_lesson_are_found() -> None:
    right = sentence(GPT, 1)
    assert right == "In 71.1 s text/gpt2 checked 19 claims , with 938 MB ." and name_of(GPT) == "text/gpt2"
    invented = checked_sentence(right.replace("71.1", "71.2"), GPT)
    assert (invented.form, invented.invented, invented.misplaced, invented.numbers) == (True, 1, 0, 3)
    swapped = checked_sentence(right.replace("19", "§").replace("938", "19").replace("§", "938"), GPT)
    assert (swapped.invented, swapped.misplaced, swapped.right) == (0, 2, False)
    for broken in (right.replace("gpt2", "grok"), right.replace("s text", "MB text"), sentence(NORWAY, 0)):
        assert not checked_sentence(broken, GPT).form
    assert not checked_sentence(sentence(GPT, 0), NORWAY).form


def test_a_source_named_twice_counts_twice() -> None:
    """ "hydro gave 89 %, hydro gave 10 %": the second is misplaced, although the first is right."""
    verdict = checked_sentence(sentence(NORWAY, 1).replace("wind", "hydro"), NORWAY)
    assert (verdict.misplaced, verdict.sources) == (1, False)
