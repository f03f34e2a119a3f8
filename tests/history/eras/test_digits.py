"""The small digits: the treatment is what it says, has an inverse where it should, and leaves digits legible."""

import pytest
import torch

from companion.data import digits
from companion.history.eras.digits import PIXELS, as_bits, enlarge, from_bits, harden, shrink
from companion.metrics.digit_judge import recognised
from tests.conftest import rejects


@pytest.fixture(scope="module")
def held_out():
    return digits("valid", limit=200)


def test_a_square_is_ink_where_four_tenths_of_it_are_covered():
    picture = -torch.ones(1, 1, 28, 28)
    picture[0, 0, 4, 6] = 1.0  # a quarter of a square
    picture[0, 0, 8:10, 10] = 1.0  # half of one
    picture[0, 0, 12, 12:14] = torch.tensor([1.0, 0.22])  # (1 + 0.61) / 4 of one, just enough
    small = shrink(picture)
    assert small.shape == (1, 1, 14, 14)
    assert [tuple(place) for place in (small[0, 0] == 1).nonzero().tolist()] == [(4, 5), (6, 6)]


def test_the_judge_still_reads_treated_digits(held_out):
    treated = enlarge(shrink(held_out.images))
    assert treated.shape == held_out.images.shape
    assert float(recognised(treated, held_out.labels).float().mean()) >= 0.93  # 97 % of 500


def test_bits_and_images_are_each_others_inverse(held_out):
    small = shrink(held_out.images)
    bits = as_bits(small)
    assert bits.shape == (len(small), PIXELS) and set(bits.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(from_bits(bits), small)


def test_enlarging_keeps_paper_ink_and_symmetry():
    ink = torch.ones(2, 1, 14, 14)
    assert torch.equal(enlarge(ink), torch.ones(2, 1, 28, 28)) and torch.equal(enlarge(-ink), -torch.ones(2, 1, 28, 28))
    noise = harden(torch.randn(3, 1, 14, 14, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(enlarge(noise).flip(-1), enlarge(noise.flip(-1)))


def test_hardening_decides_at_grey_and_changes_nothing_that_is_decided(held_out):
    small = shrink(held_out.images)
    assert torch.equal(harden(small * 0.3), small)
    assert torch.equal(
        harden(torch.tensor([0.01, -0.01]).repeat(98).reshape(1, 1, 14, 14)).unique(), torch.tensor([-1.0, 1.0])
    )


def test_bad_input():
    grey = torch.zeros(2, 1, 14, 14)
    for call, pattern in [
        (lambda: shrink(torch.zeros(2, 1, 14, 14)), "images: got shape"),
        (
            lambda: shrink(torch.full((2, 1, 28, 28), 255.0)),
            "images: got values from 255 to 255, wanted numbers from -1 up to 1",
        ),
        (lambda: as_bits(grey), "images: got shades of grey"),
        (lambda: from_bits(torch.zeros(2, 100)), "bits: got shape"),
        (lambda: enlarge(torch.zeros(2, 1, 28, 28)), "images: got shape"),
    ]:
        with rejects(pattern):
            call()
