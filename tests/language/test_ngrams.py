"""Counted text: the printed recursion by hand, probabilities that add up, and text that the counts make certain."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.data import shakespeare
from companion.language.ngrams import encode, fit_ngram, longest_copy
from tests.conftest import rejects


def _by_hand(text: str, order: int, context: str, character: str) -> float:
    """eq-overview-ngram as printed, by counting substrings."""
    p = 1 / len(set(text))
    for k in range(min(order, len(context)) + 1):
        h = context[len(context) - k :]
        follow = Counter(text[i + k] for i in range(len(text) - k) if text[i : i + k] == h)
        n, t = sum(follow.values()), len(follow)
        if not n:
            break
        p = (follow[character] + t * p) / (n + t)
    return p


@pytest.mark.parametrize("order", [0, 1, 3])
def test_next_equals_the_printed_recursion(order: int) -> None:
    text = "to be or not to be that is the question"
    model = fit_ngram(text, order)
    for context in ("", "t", "to ", "not to b", "zz".replace("z", "q")):
        want = [_by_hand(text, order, context, c) for c in model.alphabet]
        torch.testing.assert_close(model.next(context), torch.tensor(want, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(st.text("abc", min_size=5, max_size=40), st.text("abc", min_size=1, max_size=12), st.integers(0, 4))
def test_bits_are_the_chain_of_next(text: str, other: str, order: int) -> None:
    """eq-overview-chain: the fast sum over a text equals one character after the other."""
    model = fit_ngram(text, order)
    other = "".join(c for c in other if c in model.alphabet) or text[:1]
    slow = sum(-math.log2(model.next(other[:i])[model.alphabet.index(c)]) for i, c in enumerate(other)) / len(other)
    assert abs(model.bits_per_character(other) - slow) < 1e-9


@settings(max_examples=40, deadline=None)
@given(st.text("abcd", min_size=5, max_size=40), st.text("abcd", max_size=8))
def test_probabilities_are_positive_and_sum_to_one(text: str, context: str) -> None:
    model = fit_ngram(text, 3)
    p = model.next("".join(c for c in context if c in model.alphabet))
    assert abs(float(p.sum()) - 1) < 1e-9 and (p > 0).all()


def test_only_the_last_characters_count() -> None:
    model = fit_ngram(shakespeare(limit=20_000).text, 3)
    assert torch.equal(model.next("O what a noble"), model.next("ble"))
    assert not torch.equal(model.next("ble"), model.next("bly"))


def test_learns_shakespeare_better_than_letter_frequencies() -> None:
    train, held_out = shakespeare("train", limit=300_000).text, shakespeare("valid", limit=20_000).text
    held_out = held_out.translate({ord(c): None for c in set(held_out) - set(train)})
    bits = [fit_ngram(train, order).bits_per_character(held_out) for order in (0, 1, 4)]
    assert bits[0] > 4.5 and bits[1] < 4.0 and bits[2] < 2.8, bits


def test_continues_what_it_is_certain_of() -> None:
    model = fit_ngram("abcdef" * 500, 3)
    sample = model.sample(12, torch.Generator().manual_seed(0), prompt="abc", temperature=0.3)
    assert sample == "abcdefabcdefabc"


def test_temperature_raises_entropy() -> None:
    """I38: hotter is more varied."""
    model = fit_ngram(shakespeare(limit=50_000).text, 2)
    kinds = [len(set(model.sample(300, torch.Generator().manual_seed(0), temperature=t))) for t in (0.2, 1.0, 5.0)]
    assert kinds[0] < kinds[1] < kinds[2], kinds


def test_length_and_seed() -> None:
    """I39: the answer holds the prompt and exactly as many characters as were asked for."""
    model = fit_ngram(shakespeare(limit=20_000).text, 2)
    one, two, other = (model.sample(50, torch.Generator().manual_seed(s), prompt="O ") for s in (1, 1, 2))
    assert one == two != other and len(one) == 52 and one.startswith("O ")


def test_longest_copy() -> None:
    assert longest_copy("xx brown cow", "how now brown cow") == len(" brown cow")
    assert longest_copy("zzz", "abc") == 0


def test_bad_input() -> None:
    model = fit_ngram("hello world", 2)
    with rejects("order"):
        fit_ngram("abc", -1)
    with rejects("text"):
        fit_ngram("ab", 2)
    with rejects("smaller order"):
        fit_ngram(shakespeare(limit=5_000).text, 12)
    with rejects("text"):
        encode("z", "abc")
    with rejects("text"):
        model.bits_per_character("")
    with rejects("temperature"):
        model.sample(5, torch.Generator(), temperature=0)
    with rejects("characters"):
        model.sample(-1, torch.Generator())
