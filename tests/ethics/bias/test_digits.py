"""Painted digits: the planted shares, that paint can be read and taken off exactly, dependence on the generator alone."""

import pytest
import torch

from companion.data import digits
from companion.ethics.bias.digits import PLANTED, ink, is_blue, paint, skewed_digits


def test_planted_shares_are_found_within_four_standard_errors() -> None:
    data = skewed_digits("train", torch.Generator().manual_seed(0))
    for digit, share in enumerate(PLANTED):
        of_class = data.blue[data.labels == digit].double()
        assert abs(float(of_class.mean()) - share) < 4 * (share * (1 - share) / len(of_class)) ** 0.5


def test_paint_is_read_and_taken_off_exactly() -> None:
    data = skewed_digits("test", torch.Generator().manual_seed(1))
    assert torch.equal(is_blue(data.images), data.blue)
    assert torch.allclose(ink(data.images), digits("test").images, atol=1e-5)


def test_paper_stays_white_and_ink_has_the_palettes_colour() -> None:
    grey = torch.full((2, 1, 3, 4), -1.0)
    grey[:, :, 1, 1] = 1
    painted = paint(grey, torch.tensor([False, True]))
    assert (painted[:, :, 0, 0] == 1).all()
    assert torch.allclose((painted[:, :, 1, 1] + 1) / 2, torch.tensor([[0.902, 0.624, 0.0], [0.0, 0.447, 0.698]]))


def test_half_strength_ink_is_read_all_the_same() -> None:
    grey = torch.rand(8, 1, 5, 6, generator=torch.Generator().manual_seed(2)) - 1
    blue = torch.arange(8) % 2 == 0
    assert torch.equal(is_blue(paint(grey, blue)), blue)
    assert torch.allclose(ink(paint(grey, blue)), grey, atol=1e-5)


def test_certain_shares_and_clear_errors() -> None:
    data = skewed_digits("test", torch.Generator(), shares=(1.0,) * 5 + (0.0,) * 5, limit=60)
    assert torch.equal(data.blue, data.labels < 5)
    with pytest.raises(ValueError, match="shares"):
        skewed_digits("test", torch.Generator(), shares=(0.5,))
    with pytest.raises(ValueError, match="shares"):
        skewed_digits("test", torch.Generator(), shares=(1.5,) * 10)
