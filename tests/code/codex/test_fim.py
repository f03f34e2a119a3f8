"""Fill in the middle: the rearrangement loses nothing, and says where it begins and ends."""

from typing import get_args

import pytest
import torch

from companion.code.codex.fim import (
    END,
    MIDDLE,
    PREFIX,
    SPECIAL,
    SUFFIX,
    Cut,
    Order,
    cut,
    pieces,
    rearranged,
    restored,
    training_ids,
)
from companion.text.tokenizer import train_bpe
from tests.conftest import rejects

SOURCE = "import os\n\n\ndef f(x):\n    return os.path.join(x, 'ü')\n\n\nclass A:\n    def g(self):\n        pass\n" * 4


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(SOURCE, 300, special=SPECIAL)


def test_rearranging_is_a_bijection(bpe) -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(50):
        parts = cut(SOURCE[:137], g)
        assert parts.text == SOURCE[:137]
        for order in get_args(Order):
            assert restored(bpe, rearranged(bpe, parts, order=order)) == parts


def test_the_orders_are_those_of_their_names(bpe) -> None:
    parts, s = Cut("ab", "cd", "ef"), bpe.special
    p, q, m = [s[PREFIX], *bpe.encode("ab")], [s[SUFFIX], *bpe.encode("ef")], [s[MIDDLE], *bpe.encode("cd"), s[END]]
    assert rearranged(bpe, parts, order="PSM") == p + q + m
    assert rearranged(bpe, parts, order="SPM") == q + p + m
    with rejects("order"):
        rearranged(bpe, parts, order="MPS")


def test_cuts_fall_everywhere_also_inside_words_and_at_the_ends() -> None:
    g, places = torch.Generator().manual_seed(1), set()
    for _ in range(400):
        parts = cut("abcd", g)
        places |= {len(parts.prefix), len(parts.prefix + parts.middle)}
    assert places == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("size", [1, 7, 40, 5000])
def test_pieces_join_to_the_file(size: int) -> None:
    assert "".join(pieces(SOURCE, size)) == SOURCE
    assert all(0 < len(piece) <= 2 * size + 2 for piece in pieces(SOURCE, size)) or size < 40


def test_rate_zero_is_plain_text_and_rate_one_has_no_plain_piece(bpe) -> None:
    def of(rate, seed=0):
        return training_ids([SOURCE, SOURCE], bpe, torch.Generator().manual_seed(seed), rate=rate, size=60).tolist()

    plain = of(0.0)
    assert bpe.decode([i for i in plain if i != bpe.special[END]]) == SOURCE * 2
    assert plain.count(bpe.special[END]) == 2 and bpe.special[PREFIX] not in plain
    every, n = of(1.0), 2 * len(list(pieces(SOURCE, 60)))
    assert [every.count(bpe.special[name]) for name in SPECIAL] == [n, n, n, n + 2]
    half = of(0.5, 1).count(bpe.special[PREFIX])
    assert 0.2 * n < half < 0.8 * n


@pytest.mark.parametrize("order", get_args(Order))
def test_training_pieces_are_in_the_order_that_was_asked_for(bpe, order) -> None:
    ids = training_ids([SOURCE], bpe, torch.Generator().manual_seed(0), rate=1.0, size=60, order=order).tolist()
    g, want = torch.Generator().manual_seed(0), []
    for piece in pieces(SOURCE, 60):
        torch.rand((), generator=g)  # whether this piece is cut
        want += rearranged(bpe, cut(piece, g), order=order)
    assert ids == [*want, bpe.special[END]]
    assert ids[0] == bpe.special[PREFIX if order == "PSM" else SUFFIX]


def test_no_piece_leaks_a_sign_into_its_text(bpe) -> None:
    """A file that spells a special token out does not make one: text is encoded as text."""
    ids = rearranged(bpe, Cut("a", "<|end|>", "b"))
    assert ids.count(bpe.special[END]) == 1 and restored(bpe, ids).middle == "<|end|>"


def test_bad_input(bpe) -> None:
    with rejects("rate"):
        training_ids([SOURCE], bpe, torch.Generator(), rate=1.5)
    with rejects("bpe"):
        training_ids([SOURCE], train_bpe(SOURCE, 300), torch.Generator())
    with rejects("ids"):
        restored(bpe, bpe.encode("abc"))
