"""Word numbers: there and back, the end is the highest, and slips are errors."""

import torch

from companion.language.words import PAD, START, WordTokenizer
from tests.conftest import rejects

TOKENS = WordTokenizer(["red", "a", "heart", "on", "mint", "a"], length=7)


def test_rows_are_start_words_end_and_padding() -> None:
    assert TOKENS.words == ("a", "heart", "mint", "on", "red")
    rows = TOKENS.encode(["a red heart", "", "a heart on mint a"])
    assert rows.tolist() == [[1, 2, 6, 3, 7, 0, 0], [1, 7, 0, 0, 0, 0, 0], [1, 2, 3, 5, 4, 2, 7]]
    assert rows.dtype == torch.int64 and TOKENS.vocab_size == 8 == int(rows.max()) + 1
    assert (PAD, START, TOKENS.end) == (0, 1, 7)
    assert TOKENS.real(rows).sum(1).tolist() == [5, 2, 7]


def test_there_and_back() -> None:
    for text in ("a red heart", "", "mint on red"):
        assert TOKENS.decode(TOKENS.encode([text])[0]) == text
    assert TOKENS.decode([1, 2, 7, 3]) == "a", "nothing after the end"


def test_bad_input() -> None:
    with rejects("blue"):
        TOKENS.encode(["a blue heart"])
    with rejects("at most 5"):
        TOKENS.encode(["a a a a a a"])
    with rejects("one text"):
        TOKENS.encode("a")
    for row in ([8], [-1]):
        with rejects("row"):
            TOKENS.decode(row)
    with rejects("two words"):
        WordTokenizer(["a", "two words"], 5)
    with rejects("words"):
        WordTokenizer([], 5)
    with rejects("length"):
        WordTokenizer(["a"], 2)
