"""Byte-pair encoding learned from a text: the library's merges, a training by hand, ties, texts that run out of pairs (I35)."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.data.text import shakespeare
from companion.language.tokenizers import ByteLevelBPE, printable_bytes
from companion.text.tokenizer import train_bpe
from tests.conftest import rejects
from tests.oracles import library_bpe


def json_of(found: ByteLevelBPE) -> list[list[str]]:
    written_as = printable_bytes()
    return [["".join(written_as[byte] for byte in part) for part in pair] for pair in found.merges]


class TestParity:
    def test_training_finds_the_librarys_merges_and_numbers(self, tmp_path):
        text = shakespeare("train", limit=200_000).text
        library_bpe(text, 700).model.save(str(tmp_path))
        train_bpe(text, 700).save(tmp_path / "ours")
        assert (tmp_path / "ours" / "merges.txt").read_text() == (tmp_path / "merges.txt").read_text()
        assert json.loads((tmp_path / "ours" / "vocab.json").read_text()) == library_bpe(text, 700).get_vocab()

    @given(st.lists(st.text("ab '1é", max_size=12), max_size=12).map("".join), st.integers(256, 300))
    @settings(max_examples=200, deadline=None)
    def test_training_on_any_text(self, written, size):
        """Small alphabets have many ties, overlaps (aaa), and tokens that two merges spell."""
        assert json_of(train_bpe(written, size)) == json.loads(library_bpe(written, size).to_str())["model"]["merges"]


class TestTruth:
    def test_a_training_by_hand(self):
        """Of `` aab aab ab``: counts: a-b 3, blank-a 3, a-a 2. Of the two with 3 the smaller numbers win: a-b.

        Then blank-a 2 and a-ab 2 (blank-ab 1): a (64) is smaller than the blank (220), so a-ab; then blank-aab 2, then
        blank-ab 1.
        """
        found = train_bpe(" aab aab ab", 260)
        assert found.merges == [(b"a", b"b"), (b"a", b"ab"), (b" ", b"aab"), (b" ", b"ab")]
        assert (found.vocab[b"a"], found.vocab[b" "], found.vocab[b"ab"]) == (64, 220, 256)
        assert found.encode(" aab ab aa") == [258, 259, 220, 64, 64]

    def test_frequent_words_become_one_token(self):
        text = shakespeare("train", limit=200_000).text
        found = train_bpe(text, 700)
        assert len(found.encode(" the")) == 1 and len(found.encode(text)) < 0.5 * len(text)

    def test_a_text_may_run_out_of_pairs(self):
        assert train_bpe("ab", 1000).vocab_size == 257
        assert train_bpe("", 256).merges == []

    def test_each_special_token_takes_a_merge_away_and_has_the_last_numbers(self):
        plain, special = train_bpe("aab " * 9, 259), train_bpe("aab " * 9, 259, special=("<|a|>", "<|b|>"))
        assert len(plain.merges) == 3 and special.merges == plain.merges[:1]
        assert special.special == {"<|a|>": 257, "<|b|>": 258}


class TestSpeed:
    def test_a_million_characters_in_seconds(self):
        text = shakespeare("train", limit=1_000_000).text
        start = time.process_time()
        found = train_bpe(text, 1024)
        found.encode(text)
        assert time.process_time() - start < 8


class TestBadInput:
    @pytest.mark.parametrize(("size", "special"), [(255, ()), (256, ("<|end|>",)), (300, ("",)), (300, ("a", "a"))])
    def test_sizes_and_special_tokens(self, size, special):
        with rejects("vocab_size|special"):
            train_bpe("text", size, special=special)
