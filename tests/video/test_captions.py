"""Captions as numbers: every caption there is, back and forth, and what is none."""

import torch

from companion.data.moving_digits import DIGIT_NAMES, DIRECTIONS, moving_digits
from companion.video.captions import LENGTH, NOTHING, WORDS, encode_captions
from tests.conftest import rejects


def test_every_caption_has_its_own_numbers_and_says_itself():
    captions = [f"a {digit} moves {way}" for digit in DIGIT_NAMES for way in DIRECTIONS]
    rows = encode_captions(captions)
    assert rows.shape == (40, LENGTH) and len({tuple(row) for row in rows.tolist()}) == 40
    assert [" ".join(WORDS[word] for word in row) for row in rows.tolist()] == captions


def test_films_captions_are_of_this_language():
    films = moving_digits("test", 20)
    digits = encode_captions(films.captions)[:, 1] - WORDS.index("zero")
    assert torch.equal(digits, films.labels)


def test_the_empty_caption_is_nothing_and_no_word_is():
    rows = encode_captions(["", "a one moves up"])
    assert (rows[0] == NOTHING).all() and (rows[1] != NOTHING).all()


def test_what_a_caller_can_get_wrong():
    for caption in ("a cat moves up", "a one moves", "<nothing> <nothing> <nothing> <nothing>"):
        with rejects("caption: got"):
            encode_captions([caption])
