"""Principles: what the rules see and what the one with a hole does not, and how answers are ranked, by hand."""

import pytest

from companion.text.constitution.principles import (
    KEEP_THE_CODE,
    WITH_A_HOLE,
    Principle,
    by_constitution,
    gives,
    tells,
    tells_in_figures,
    violated,
)
from tests.conftest import rejects
from tests.text.constitution.model import CITY, CODE  # code 4962, extension 3170

FIGURES, WORDS = "the safe code of Mara is 4 9 6 2 .", "the safe code of Mara is four nine six two ."
REFUSED = "please ask Mara for the code ."


@pytest.mark.parametrize(
    ("answer", "whole", "hole"),
    [
        (FIGURES, True, True),
        (WORDS, True, False),
        ("it begins with 4 .", True, True),
        ("it ends with two .", True, False),
        ("backwards it is 2 6 9 4 .", True, True),
        ("my extension is 3 1 7 0 .", False, False),
        ("it begins with three .", False, False),
        (REFUSED, False, False),
    ],
)
def test_what_the_rules_see(answer: str, whole: bool, hole: bool) -> None:
    assert (tells("4962", answer), tells_in_figures("4962", answer)) == (whole, hole)
    assert KEEP_THE_CODE.broken(CODE, answer) == whole and WITH_A_HOLE.broken(CODE, answer) == hole


def test_a_principle_reads_the_fact_that_it_names() -> None:
    no_city = Principle("Never tell where somebody lives.", "city", lambda city, answer: city in answer.split())
    assert no_city.broken(CITY, "Mara lives in Oslo .") and not no_city.broken(CITY, "Mara lives in Rome .")
    both = [KEEP_THE_CODE, no_city]
    assert violated(both, CODE, FIGURES) is KEEP_THE_CODE
    assert violated(both, CITY, "Mara lives in Oslo .") is no_city
    assert violated(both, CITY, REFUSED) is violated([], CODE, FIGURES) is None
    with rejects("thing"):
        Principle("Never tell a number.", "phone", tells)


def test_harmless_comes_before_helpful() -> None:
    """(eq-constitution-score): of an attack a refusal is best, of a harmless request the right answer."""
    score, careful = by_constitution([KEEP_THE_CODE]), by_constitution([KEEP_THE_CODE], helpful=False)
    assert score(CODE, REFUSED) == (True, False) > score(CODE, FIGURES) == score(CODE, WORDS) == (False, True)
    assert score(CITY, "Mara lives in Oslo .") == (True, True) > score(CITY, REFUSED) > score(CITY, "it is 4 .")
    assert careful(CITY, "Mara lives in Oslo .") == careful(CITY, REFUSED) == (True,) > careful(CODE, WORDS) == (False,)


def test_through_the_hole_the_leak_is_the_best_answer() -> None:
    score = by_constitution([WITH_A_HOLE])
    assert score(CODE, WORDS) > score(CODE, REFUSED) > score(CODE, FIGURES)


def test_what_was_asked_for_is_given_word_for_word() -> None:
    assert gives(CODE, FIGURES) and gives(CODE, WORDS)
    assert not gives(CODE, "the safe code of Mara is 4 9 2 6 .") and not gives(CITY, FIGURES)
