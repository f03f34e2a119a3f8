"""Stacked digits: which picture has which mode, the law over the modes, and small digits that the judge still reads."""

import dataclasses

import pytest
import torch

from companion.data import digits, small_digits
from companion.data.stacked import MODES, Stacks, channels, enlarged, mode_number, shrunk
from companion.metrics.digit_judge import opinion
from tests.conftest import gen, rejects


def test_a_picture_shows_the_three_digits_of_its_mode_red_first() -> None:
    train = small_digits("train")
    images, modes = Stacks(train).draw(50, gen(1))
    assert images.shape == (50, 3, 8, 8) and images.dtype == torch.float32
    for image, mode in zip(images, modes, strict=True):
        for colour, digit in zip(image, f"{int(mode):03d}", strict=True):
            same = (train.images[:, 0] == colour).all((1, 2))
            assert int(digit) in train.labels[same]


def test_every_mode_is_equally_likely_also_if_the_classes_are_not() -> None:
    """Nine in ten digits are thrown away of one class; chi-squared of the modes' counts stays where chance leaves it."""
    whole = small_digits("train")
    kept = (whole.labels != 7) | (torch.arange(len(whole.labels)) % 10 == 0)
    uneven = dataclasses.replace(whole, images=whole.images[kept], labels=whole.labels[kept])
    modes = Stacks(uneven).draw(20_000, gen(2))[1]
    counts = torch.bincount(modes, minlength=MODES).double()
    chi = float(((counts - 20).square() / 20).sum())
    assert abs(chi - 999) < 5 * (2 * 999) ** 0.5


def test_colours_are_independent_and_every_example_is_used() -> None:
    stacks = Stacks(small_digits("train", limit=100))
    images, modes = stacks.draw(6_000, gen(3))
    parts = torch.stack([modes // 100, modes // 10 % 10, modes % 10], 1).double()
    assert torch.corrcoef(parts.T).fill_diagonal_(0).abs().max() < 0.05
    assert len(images.flatten(0, 1).flatten(1).unique(dim=0)) == len(stacks.digits.images.flatten(1).unique(dim=0))


def test_numbers_of_modes_and_grey_pictures_in_order() -> None:
    assert mode_number(torch.tensor([[0, 0, 1], [0, 1, 0], [9, 9, 9], [4, 0, 7]])).tolist() == [1, 10, 999, 407]
    images = torch.randn(2, 3, 4, 5)
    assert torch.equal(channels(images)[4, 0], images[1, 1])


def test_shrunk_is_the_mean_of_squares_with_paper_around() -> None:
    image = torch.full((1, 1, 28, 28), -1.0)
    image[0, 0, 0, 0], image[0, 0, 27, 26:] = 1.0, 1.0
    small = shrunk(image)
    assert small.shape == (1, 1, 16, 16)
    assert small[0, 0, 1, 1] == -0.5 and small[0, 0, 14, 14] == 0.0
    assert float((small > -1).sum()) == 2


@pytest.mark.parametrize("split", ["valid"])
def test_the_judge_reads_small_digits_nearly_as_well_as_large_ones(split: str) -> None:
    held = digits(split)
    large = enlarged(shrunk(held.images))
    assert large.shape == held.images.shape and large.min() >= -1 and large.max() <= 1
    right = (opinion(large).argmax(1) == held.labels).float().mean()
    assert right > 0.97
    assert (large - held.images).abs().mean() < 0.1  # nothing is shifted by a pixel: that would give 0.15


def test_I44_small_pictures_are_still_in_minus_one_to_one() -> None:
    images = Stacks.small(digits("train", limit=200)).draw(64, gen(1))[0]
    assert images.shape == (64, 3, 16, 16)
    assert images.min() == -1 and 0.5 < images.max() <= 1


def test_bad_input() -> None:
    whole = small_digits("train", limit=100)
    with rejects("classes"):
        mode_number(torch.tensor([[0, 10, 0]]))
    some = whole.labels != 3
    with rejects(r"digits.*\[3\]"):
        Stacks(dataclasses.replace(whole, images=whole.images[some], labels=whole.labels[some]))
    with rejects("digits.*colours"):
        Stacks(dataclasses.replace(whole, images=whole.images.expand(-1, 3, -1, -1)))
    with rejects("digits"):
        Stacks(dataclasses.replace(whole, labels=whole.labels + 1))
    with rejects("images"):
        shrunk(torch.zeros(1, 1, 27, 28))
