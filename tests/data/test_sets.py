"""The range of the images, its inverse, and what a set says of itself."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.data import AudioSet, DataSet, ImageSet, PairSet, TextSet, to_display, to_model
from tests.conftest import rejects

ABOUT = {"name": "x", "split": "train", "license": "CC0", "source": "here"}


def test_display_inverts_the_model_range_exactly_I44():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    images = to_model(pixels)
    assert images.dtype == torch.float32 and (float(images.min()), float(images.max())) == (-1.0, 1.0)
    assert torch.equal(to_display(images), pixels) and to_display(images).dtype == torch.uint8
    assert torch.equal(to_model(pixels.double()), images), "whatever type the grey values have"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9))
def test_what_lies_outside_is_clipped(values):
    images = torch.tensor(values)
    assert torch.equal(to_display(images), to_display(images.clamp(-1, 1)))


def test_a_change_of_half_a_grey_value_does_not_show():
    pixels = torch.arange(256)
    assert torch.equal(to_display(to_model(pixels) + 0.49 / 127.5).long(), pixels)


@pytest.mark.parametrize("bad", [[-1.0], [255.5], [math.nan], [math.inf]])
def test_grey_values_outside_their_range_are_refused(bad):
    with rejects("pixels: got"):
        to_model(torch.tensor(bad))


def test_what_is_no_image_is_refused():
    with rejects("images: got torch.uint8"):
        to_display(torch.zeros(3, dtype=torch.uint8))
    with rejects("images: got 1 values that are NaN"):
        to_display(torch.tensor([0.0, math.nan]))
    with rejects("pixels: got list"):
        to_model([0, 255])


def sets() -> list[DataSet]:
    return [
        ImageSet(**ABOUT, images=torch.zeros(3, 1, 4, 5), labels=torch.zeros(3).long(), classes=("a", "b")),
        TextSet(**ABOUT, text="abc"),
        PairSet(**ABOUT, inputs=("a", "b", "c"), targets=("A", "B", "C")),
        AudioSet(
            **ABOUT, waves=torch.zeros(3, 80), labels=torch.zeros(3).long(), classes=("a",), speakers=("x",) * 3, rate=8
        ),
    ]


@pytest.mark.parametrize("found", sets(), ids=lambda found: type(found).__name__)
def test_a_set_says_what_it_is_and_whose(found):
    assert len(found) == 3
    for words in ("x, train", "3", "CC0", "here"):
        assert words in repr(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.split = "test"


def test_details_in_words():
    image, text, pair, audio = map(repr, sets())
    assert "3 images, 1×4×5 in [-1, 1], 2 classes" in image
    assert "3 characters" in text and "3 pairs" in pair and "3 clips of 10.00 s at 8 Hz" in audio
    assert list(sets()[2]) == [("a", "A"), ("b", "B"), ("c", "C")]
