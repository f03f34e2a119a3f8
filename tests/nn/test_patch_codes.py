"""Patch codes: the bits by hand, no picture lost, every code a picture, bad input."""

import pytest
import torch

from companion.nn.patch_codes import from_patch_codes, to_patch_codes
from tests.conftest import rejects


def test_codes_stand_in_reading_order_and_the_upper_left_pixel_counts_one() -> None:
    picture = -torch.ones(1, 1, 4, 6)
    picture[0, 0, 0, 0] = picture[0, 0, 1, 3] = picture[0, 0, 2, 5] = 1
    assert to_patch_codes(picture).tolist() == [[1, 8, 0, 0, 0, 2]]
    assert to_patch_codes(picture[..., :3, :3], 3).tolist() == [[1]]


@pytest.mark.parametrize(("height", "width", "patch"), [(14, 14, 2), (6, 10, 2), (2, 4, 1), (6, 9, 3)])
def test_pictures_come_back_at_any_size_I57(height: int, width: int, patch: int) -> None:
    x = torch.randn(3, 1, height, width).sign()
    codes = to_patch_codes(x, patch)
    assert codes.shape == (3, height * width // patch**2)
    assert torch.equal(from_patch_codes(codes, height // patch, patch), x)


def test_every_code_is_a_picture_of_its_own() -> None:
    codes = torch.arange(16)[:, None]
    assert torch.equal(to_patch_codes(from_patch_codes(codes, 1)), codes)


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda: to_patch_codes(torch.zeros(1, 1, 4, 4)), "images: got shape"),
        (lambda: to_patch_codes(torch.ones(1, 1, 3, 4)), "images: got shape"),
        (lambda: to_patch_codes(torch.ones(1, 2, 4, 4)), "images: got shape"),
        (lambda: to_patch_codes(torch.ones(1, 1, 4, 4), 0), "patch"),
        (lambda: from_patch_codes(torch.zeros(1, 9, dtype=torch.long), rows=2), "rows: got 2"),
        (lambda: from_patch_codes(torch.full((1, 9), 16), rows=3), "codes: got"),
    ],
)
def test_bad_input(call, pattern: str) -> None:
    with rejects(pattern):
        call()
