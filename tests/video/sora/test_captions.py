"""Captions as numbers: every caption there is, back and forth, and what is none."""

import torch

from companion.data.moving_digits import caption, moving_digits
from companion.video.sora.captions import LENGTH, NOTHING, WORDS, encode_captions
from tests.conftest import rejects


def test_every_caption_has_its_own_numbers_and_says_itself():
    captions = [caption(digit, way) for digit in range(10) for way in range(4)]
    rows = encode_captions(captions)
    assert rows.shape == (40, LENGTH) and len({tuple(row) for row in rows.tolist()}) == 40
    spoken = [" ".join(WORDS[word] for word in row) for row in rows.tolist()]
    assert spoken == [sentence.replace("an ", "a ") for sentence in captions]


def test_films_captions_are_of_this_language():
    films = moving_digits("test", 20)
    digits = encode_captions(films.captions)[:, 1] - WORDS.index("zero")
    assert torch.equal(digits, films.labels)


def test_an_eight_is_said_as_one_says_it():
    assert (caption(8, 0), caption(1, 2)) == ("an eight moves left", "a one moves up")
    assert torch.equal(encode_captions(["an eight moves left"]), encode_captions(["a eight moves left"]))


def test_the_empty_caption_is_nothing_and_no_word_is():
    rows = encode_captions(["", "a one moves up"])
    assert (rows[0] == NOTHING).all() and (rows[1] != NOTHING).all()


def test_what_a_caller_can_get_wrong():
    for wrong in ("a cat moves up", "a one moves", "<nothing> <nothing> <nothing> <nothing>"):
        with rejects("caption: got"):
            encode_captions([wrong])
