"""Attention as alignment: parts of tokens, shares by hand, what uniform attention gives."""

import pytest
import torch

from companion.text.t5.alignment import alignment, token_parts
from companion.text.t5.tasks import SENTINELS, vocabulary
from tests.conftest import rejects

TOKENS = vocabulary(["mai mars août mai mars août"] * 3, 256 + 2 + SENTINELS + 12)


def test_a_token_belongs_to_the_part_of_its_first_letter() -> None:
    """The blank before a word is in its token, and marks between the parts; a letter of two bytes is one character."""
    text, parts = "9 août 1987", "d-mmmm-yyyy"
    found = token_parts(text, parts, TOKENS)
    spelled = [TOKENS.decode([i]) for i in TOKENS.encode(text)]
    assert len(found) == len(spelled) and found[0] == "d" and found[-4:] == "yyyy"
    assert found[spelled.index(" août")] == "m"


def test_eq_t5_share_by_hand() -> None:
    maps = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]])[None, None]
    maps = torch.cat([maps, torch.full_like(maps, 1 / 3)], 1)  # a head that looks everywhere alike
    found = alignment([maps], ["yym"], ["ymx"])  # nothing in the source is x
    assert found.shares.shape == (1, 2)
    assert found.shares[0, 0] == pytest.approx((0.75 + 0.8) / 2)
    assert float(found.shares[0, 1]) == pytest.approx(found.uniform) and found.uniform == pytest.approx(
        (2 / 3 + 1 / 3) / 2
    )


def test_texts_of_several_lengths_weigh_by_their_tokens() -> None:
    one, two = torch.ones(1, 1, 1, 1), torch.tensor([[[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]])
    assert float(alignment([one, two], ["y", "ym"], ["y", "yyy"]).shares) == pytest.approx(1 / 4)


def test_bad_input() -> None:
    with rejects("parts"):
        token_parts("ab", "y", TOKENS)
    with rejects("maps"):
        alignment([torch.ones(1, 1, 2, 2)], ["yy"], ["y"])
    with rejects("maps.*finite"):
        alignment([torch.full((1, 1, 1, 1), torch.nan)], ["y"], ["y"])
    with rejects("target_parts"):
        alignment([torch.ones(1, 1, 1, 1)], ["y"], ["m"])
