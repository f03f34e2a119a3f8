"""Byte-level BPE: parity with tokenizers in encoding, the published files, round trips, bad input (I35)."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from companion.data.text import shakespeare
from companion.language.tokenizers import ByteLevelBPE, printable_bytes, split_words
from companion.text.tokenizer import train_bpe
from tests.conftest import rejects
from tests.oracles import library_bpe

# Python's and the libraries' tables of Unicode differ in age: what Python does not know is left out.
UNICODE = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=40)
ODD = st.text(st.sampled_from("ab' 's’ 've'LL\n\t\r\u00a0\u2028\u3000ßé́字カ٣²Ⅷ½_-—😀👩‍👧٪\x1c\x85"), max_size=30)


@pytest.fixture(scope="module")
def text() -> str:
    return shakespeare("train", limit=200_000).text


@pytest.fixture(scope="module")
def ours(text: str) -> ByteLevelBPE:
    return train_bpe(text, 700)


@pytest.fixture(scope="module")
def theirs(text: str) -> Tokenizer:
    return library_bpe(text, 700)


class TestParity:
    def test_encoding_a_play(self, ours, theirs):
        held_out = shakespeare("valid", limit=100_000).text
        assert ours.encode(held_out) == theirs.encode(held_out).ids

    @given(st.one_of(UNICODE, ODD))
    @settings(max_examples=300, deadline=None)
    def test_encoding_any_text(self, ours, theirs, written):
        assert ours.encode(written) == theirs.encode(written).ids

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


class TestTruth:
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


class Counted(dict):
    """Merges that count how often they are asked for."""

    asked = 0

    def __contains__(self, pair) -> bool:
        Counted.asked += 1
        return super().__contains__(pair)

    def get(self, pair, default=None):
        Counted.asked += 1
        return super().get(pair, default)


class TestLongWords:
    """A run of one kind of character is one pre-token, however long: a rule of `=`, a number, a line of base64."""

    @pytest.mark.parametrize("character", ["=", " ", "e", "7", "é", "ab", "the", "😀"])
    def test_as_the_library_encodes_them(self, character):
        text = "=" * 3_000 + "the" * 500 + " " * 999 + "ababab 77777 ééé " * 30
        ours, theirs = train_bpe(text, 300), library_bpe(text, 300)
        for count in (20, 21, 63, 64, 65, 1_000, 2_047):
            assert ours.encode(character * count) == theirs.encode(character * count).ids

    @given(st.text("ab1=é ", min_size=60, max_size=200), st.text("ab1=é ", max_size=120))
    @settings(max_examples=150, deadline=None)
    def test_both_ways_of_encoding_are_one(self, learned, written):
        found = train_bpe(learned, 300)
        assert found._encode_long_word(written) == found._encode_word(written)

    @pytest.mark.parametrize("unit", ["=", "ab"])
    def test_the_work_grows_with_the_length_and_not_with_its_square(self, unit):
        found = train_bpe(unit * 5_000, 280)
        found._ranks = Counted(found._ranks)
        work = {}
        for n in (1_000, 8_000):
            Counted.asked = 0
            found.encode(unit * (n // len(unit)))
            work[n] = Counted.asked
        assert 0 < work[8_000] < 10 * work[1_000] and work[8_000] < 5 * 8_000

    def test_long_words_are_not_remembered(self, ours):
        ours.encode("=" * 5_000)
        assert max(map(len, ours._known), default=0) < 64


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

    def test_surrogates_never_reach_the_tokens(self, ours):
        for odd, place in (("\ud800", 0), ("whole \udc80", 6), (b"ab\xe9".decode("utf-8", "surrogateescape"), 2)):
            with rejects(f"text.*surrogate.*at place {place}"):
                ours.encode(odd)
            with rejects(f"text.*surrogate.*at place {place}"):
                train_bpe(odd, 260)
        with rejects("special.*surrogate"):
            train_bpe("text", 260, special=["<\ud800>"])


class TestBadInput:
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

    @pytest.mark.parametrize("name", ["a", "Ġ", "Ġthe", "Ã", "th"])
    def test_a_special_token_is_no_other_tokens_name(self, name):
        """Both would be one entry of ``vocab.json``, and what is read back would be another vocabulary."""
        with rejects("special"):
            train_bpe(" the the the th th", 262, special=[name])

    def test_a_special_token_may_be_written_like_any_other_text(self, tmp_path):
        found = train_bpe(" the the the", 262, special=["cat", "→", "<a>"])
        found.save(tmp_path)
        again = ByteLevelBPE.load(tmp_path)
        assert (again.vocab, again.special) == (found.vocab, found.special)
        assert again.decode(again.encode(" the cat", special=True)) == " the cat"

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
