"""Perplexity by hand, and what is counted."""

import pytest
import torch

from companion.image.vae.usage import usage
from tests.conftest import gen, rejects


def test_equally_frequent_codes_have_their_number_as_perplexity() -> None:
    found = usage(torch.tensor([[1, 4], [6, 1], [4, 6]]), 9)
    assert found.alive == 3 and found.perplexity == pytest.approx(3)
    assert float(found.shares.sum()) == 1 and float(found.shares[4]) == pytest.approx(1 / 3)


def test_perplexity_by_hand_where_they_are_not() -> None:
    found = usage(torch.tensor([0, 0, 0, 2]), 3)
    assert found.alive == 2 and found.perplexity == pytest.approx(0.75**-0.75 * 0.25**-0.25)


def test_it_lies_between_one_and_what_is_alive_and_order_does_not_count() -> None:
    codes = torch.randint(20, (200,), generator=gen(1)).square() // 20
    found = usage(codes, 32)
    assert 1 < found.perplexity < found.alive < 32
    assert usage(codes.flip(0), 32).perplexity == found.perplexity
    assert usage(torch.zeros(5, dtype=torch.int64), 4).perplexity == 1


def test_a_code_that_occurs_once_in_five_thousand_is_alive() -> None:
    codes = torch.zeros(5_000, dtype=torch.int64)
    codes[17] = 2
    assert usage(codes, 4).alive == 2


def test_bad_input() -> None:
    with rejects("codes"):
        usage(torch.tensor([4]), 4)
    with rejects("wanted no empty axis"):
        usage(torch.zeros(0, dtype=torch.int64), 4)
