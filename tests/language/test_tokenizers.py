"""Byte-level BPE: parity with tokenizers in training and encoding, a hand trace, round trips, bad input (I35)."""

import json
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from companion.data.text import shakespeare
from companion.language.tokenizers import ByteLevelBPE, printable_bytes, split_words
from companion.text.tokenizer import train_bpe
from tests.conftest import rejects

# Python's and the libraries' tables of Unicode differ in age: what Python does not know is left out.
UNICODE = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=40)
ODD = st.text(st.sampled_from("ab' 's’ 've'LL\n\t\r\u00a0\u2028\u3000ßé́字カ٣²Ⅷ½_-—😀👩‍👧٪\x1c\x85"), max_size=30)


def library(text: str, size: int) -> Tokenizer:
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    found.train_from_iterator([text], trainer)
    return found


@pytest.fixture(scope="module")
def text() -> str:
    return shakespeare("train", limit=200_000).text


@pytest.fixture(scope="module")
def ours(text: str) -> ByteLevelBPE:
    return train_bpe(text, 700)


@pytest.fixture(scope="module")
def theirs(text: str) -> Tokenizer:
    return library(text, 700)


class TestParity:
    def test_training_finds_the_librarys_merges_and_numbers(self, ours, theirs, tmp_path):
        theirs.model.save(str(tmp_path))
        ours.save(tmp_path / "ours")
        assert (tmp_path / "ours" / "merges.txt").read_text() == (tmp_path / "merges.txt").read_text()
        assert json.loads((tmp_path / "ours" / "vocab.json").read_text()) == theirs.get_vocab()

    def test_encoding_a_play(self, ours, theirs):
        held_out = shakespeare("valid", limit=100_000).text
        assert ours.encode(held_out) == theirs.encode(held_out).ids

    @given(st.one_of(UNICODE, ODD))
    @settings(max_examples=300, deadline=None)
    def test_encoding_any_text(self, ours, theirs, written):
        assert ours.encode(written) == theirs.encode(written).ids

    @given(st.lists(st.text("ab '1é", max_size=12), max_size=12).map("".join), st.integers(256, 300))
    @settings(max_examples=200, deadline=None)
    def test_training_on_any_text(self, written, size):
        """Small alphabets have many ties, overlaps (aaa), and tokens that two merges spell."""
        assert json_of(train_bpe(written, size)) == json.loads(library(written, size).to_str())["model"]["merges"]

    def test_the_published_files_are_read_by_the_library(self, ours, tmp_path):
        """``vocab.json`` and ``merges.txt`` as saved here, read there, with a special token."""
        with_end = train_bpe("the cat sat on the mat", 270, special=("<|endoftext|>",))
        with_end.save(tmp_path)
        read = Tokenizer(models.BPE.from_file(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")))
        read.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        read.add_special_tokens(["<|endoftext|>"])
        written = "the cat<|endoftext|> sat"
        assert with_end.encode(written, special=True) == read.encode(written).ids

    @given(st.one_of(UNICODE, ODD))
    @settings(max_examples=300, deadline=None)
    def test_words_are_those_of_the_librarys_pattern(self, written):
        """`tokenizers` has GPT-2's pattern built in; it says where in the text each word stands."""
        cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(written)
        assert split_words(written) == [written[first:last] for _, (first, last) in cut]


def json_of(found: ByteLevelBPE) -> list[list[str]]:
    sign = printable_bytes()
    return [["".join(sign[byte] for byte in part) for part in pair] for pair in found.merges]


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

    def test_merges_apply_in_rank_order_not_longest_first_I35(self):
        """With the merges b-c, a-b, ab-c the word abc is a + bc: the first merge takes b away from the others."""
        vocab = {bytes([i]): i for i in range(256)} | {b"bc": 256, b"ab": 257, b"abc": 258}
        found = ByteLevelBPE(vocab, [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")])
        assert found.encode("abc") == [97, 256] and found.encode("ab") == [257]

    def test_punctuation_is_a_word_of_its_own_I35(self):
        words = split_words("Hello, world! It's 3 o'clock -- isn't it?\n\n  Yes.")
        assert words == [
            "Hello", ",", " world", "!", " It", "'s", " 3", " o", "'", "clock", " --", " isn", "'t", " it", "?", "\n\n ",
            " Yes", ".",
        ]  # fmt: skip

    def test_special_tokens_are_text_unless_asked_for_I35(self):
        found = train_bpe("a b", 258, special=("<|end|>",))
        assert found.special == {"<|end|>": 257} and found.vocab_size == 258
        assert found.encode("a<|end|>b", special=True) == [64, 257, 65]
        assert 257 not in found.encode("a<|end|>b") and found.decode(found.encode("a<|end|>b")) == "a<|end|>b"
        assert found.decode([64, 257, 65]) == "a<|end|>b"

    def test_bytes_are_written_as_in_gpt2s_files(self):
        signs = printable_bytes()
        assert (signs[ord("A")], signs[ord(" ")], signs[ord("\n")], signs[0xAD]) == ("A", "Ġ", "Ċ", "Ń")
        assert len(set(signs)) == 256

    def test_frequent_words_become_one_token(self, ours, text):
        assert len(ours.encode(" the")) == 1 and len(ours.encode(text)) < 0.5 * len(text)


class TestDependence:
    @given(st.one_of(UNICODE, ODD))
    @settings(max_examples=300, deadline=None)
    def test_round_trip_of_any_unicode_I35(self, ours, written):
        assert ours.decode(ours.encode(written)) == written
        assert "".join(split_words(written)) == written

    def test_saved_and_loaded_is_the_same(self, tmp_path):
        found = train_bpe("low lower lowest café " * 3, 280, special=("<|end|>", "<|end|>er"))
        found.save(tmp_path)
        again = ByteLevelBPE.load(tmp_path)
        assert (again.vocab, again.merges, again.special) == (found.vocab, found.merges, found.special)
        assert again.encode("<|end|>er low", special=True) == found.encode("<|end|>er low", special=True)

    def test_half_a_character_does_not_break_decoding(self, ours):
        ids = ours.encode("é")
        assert ours.decode(ids[:1]) == "\ufffd" and len(ids) == 2

    def test_a_text_may_run_out_of_pairs(self):
        assert train_bpe("ab", 1000).vocab_size == 257
        assert train_bpe("", 256).merges == []

    def test_surrogates_never_reach_the_tokens(self, ours):
        with pytest.raises(UnicodeEncodeError):
            ours.encode("\ud800")


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

    def test_a_vocabulary_is_whole(self):
        vocab = {bytes([i]): i for i in range(256)}
        with rejects("vocab"):
            ByteLevelBPE({**vocab, b"ab": 300}, [])
        with rejects("vocab"):
            ByteLevelBPE(vocab, [(b"a", b"b")])
        with rejects("vocab"):
            ByteLevelBPE({b"a": 0}, [])

    @pytest.mark.parametrize("bad", [-1, 700])
    def test_numbers_that_are_no_token(self, ours, bad):
        with rejects("ids"):
            ours.decode([5, bad])

    def test_only_strings_are_encoded(self, ours):
        with rejects("text"):
            ours.encode(b"bytes")


def test_every_letter_and_number_of_unicode():
    """One by one, every character that Python's tables know: a letter joins a word, a number a number, else neither."""
    for code in range(0x110000):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in ("Cs", "Cn"):
            continue
        joins_letters = len(split_words("a" + character)) == 1
        joins_digits = len(split_words("1" + character)) == 1
        assert (joins_letters, joins_digits) == (kind[0] == "L", kind[0] == "N"), hex(code)
