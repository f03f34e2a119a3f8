"""BLEU, chrF and ROUGE-L: known values, ends of the scale, what must lower them."""

import math

import pytest

from companion.metrics.text_overlap import bleu, chrf, longest_common, rouge_l
from tests.conftest import rejects

WANTED = ["le menu principal est ouvert", "fermer tous les noyaux maintenant"]


def test_equal_texts_have_the_highest_value_and_strange_ones_none() -> None:
    assert bleu(WANTED, WANTED) == pytest.approx(100) and chrf(WANTED, WANTED) == pytest.approx(100)
    assert rouge_l(WANTED, WANTED) == [1.0, 1.0]
    strange = ["x", "q"]
    assert bleu(strange, WANTED) < 1 and chrf(strange, WANTED) < 2 and rouge_l(strange, WANTED) == [0.0, 0.0]


def test_bleu_by_hand_with_its_brevity_penalty() -> None:
    """Every run of words is right, but four of five are there: exp(1 - 5/4)."""
    assert bleu(["le menu principal est"], WANTED[:1]) == pytest.approx(100 * math.exp(-0.25))


def test_rouge_l_by_hand() -> None:
    """The longest common sequence is "le menu ouvert": precision 3/4, recall 3/5."""
    assert rouge_l(["Le MENU gris ouvert"], WANTED[:1]) == [pytest.approx(2 * 0.75 * 0.6 / 1.35)]


@pytest.mark.slow
def test_rouge_l_equals_rouge_score() -> None:
    """Parity on texts of several lengths with marks, capitals, letters that are no ASCII, and none in common."""
    from rouge_score.rouge_scorer import RougeScorer

    texts = [
        "",
        "Return the list of offsets.",
        "é è",
        "the Offsets of the list; returned",
        "a_b c-d 12",
        "list list list",
    ]
    scorer = RougeScorer(["rougeL"])
    for wanted in texts:
        theirs = [scorer.score(wanted, text)["rougeL"].fmeasure for text in texts]
        assert rouge_l(texts, [wanted] * len(texts)) == pytest.approx(theirs, abs=1e-9)


def test_longest_common_by_hand() -> None:
    assert longest_common("abcbdab", "bdcaba") == 4
    assert longest_common("", "a") == longest_common("a", "") == longest_common("ab", "xy") == 0
    assert longest_common("ab", "ba") == 1


def test_chrf_sees_what_bleu_does_not() -> None:
    assert (
        chrf(["les menus principaux sont ouverts"], WANTED[:1])
        > 30
        > bleu(["les menus principaux sont ouverts"], WANTED[:1])
    )


def test_bad_input() -> None:
    for measure in (bleu, chrf, rouge_l):
        with rejects("written"):
            measure([], [])
        with rejects("written"):
            measure(["a"], ["a", "b"])
        with rejects("single string"):
            measure("abc", "abc")
