"""Affine distortions: they keep a digit a digit, and mean what their names say."""

import torch

from companion.data import digits
from companion.data.distortions import distort
from companion.metrics.digit_judge import recognised


def test_no_distortion_is_the_identity():
    images = digits("test", limit=4).images
    same = distort(images, torch.Generator().manual_seed(0), turn=0.0, scale=0.0, slant=0.0, shift=0.0)
    torch.testing.assert_close(same, images, atol=1e-4, rtol=0)


def test_distorted_digits_differ_stay_in_range_and_are_still_recognised():
    data = digits("test", limit=100)
    moved = distort(data.images, torch.Generator().manual_seed(0))
    assert (moved - data.images).abs().flatten(1).max(1).values.min() > 0.5
    assert moved.min() >= -1 - 1e-5 and moved.max() <= 1 + 1e-5
    assert recognised(moved.clamp(-1, 1), data.labels).float().mean() > 0.95


def test_a_shift_moves_by_at_most_its_share_and_brings_in_paper():
    image = torch.full((50, 1, 28, 28), -1.0)
    image[:, :, 13:15, 13:15] = 1.0
    moved = distort(image, torch.Generator().manual_seed(0), turn=0.0, scale=0.0, slant=0.0, shift=2 / 28) + 1
    places = torch.arange(28.0)
    mass = moved.sum((1, 2, 3))
    for axis in (2, 3):
        centre = (moved.sum((1, 5 - axis)) * places).sum(1) / mass
        assert (centre - 13.5).abs().max() < 2.01 and (centre - 13.5).abs().max() > 1.5
    torch.testing.assert_close(mass, torch.full((50,), 8.0), atol=1e-3, rtol=0)


def test_each_image_of_a_batch_is_distorted_in_its_own_way_I59():
    one = digits("test", limit=1).images.expand(6, -1, -1, -1)
    moved = distort(one, torch.Generator().manual_seed(0)).flatten(1)
    apart = torch.cdist(moved, moved) + 100 * torch.eye(6)
    assert apart.min() > 1
    assert torch.equal(moved, distort(one, torch.Generator().manual_seed(0)).flatten(1))
