"""The shipped diffusion model of digits: what it draws is read by the judge, guided better than not, and varied."""

import torch

from companion.data import digits
from companion.image.ddpm import NO_LABEL, draw_digits
from companion.metrics.digit_judge import cnn_fid, recognised
from companion.models.ddpm_digits import build, load
from tests.conftest import gen


def draw(labels: torch.Tensor, seed: int, scale: float = 1.0, steps: int = 10) -> torch.Tensor:
    return draw_digits(load(), labels, gen(seed), scale=scale, steps=steps)


def test_guided_digits_are_read():
    labels = torch.arange(50) % 10
    assert recognised(draw(labels, 3, scale=2.0), labels).float().mean() >= 0.9


def test_they_are_nearer_to_digits_than_noise_and_than_the_mean_digit():
    """The distance of features to real digits, against two samplers that know less."""
    real = digits("valid").images
    blurred = real.mean(0, keepdim=True) + 0.3 * torch.randn(50, 1, 28, 28)
    ours = cnn_fid(draw(torch.arange(50) % 10, 3), real)
    assert ours < 0.3 * min(cnn_fid(blurred, real), cnn_fid(torch.randn(50, 1, 28, 28), real))


def test_without_a_label_it_draws_all_sorts():
    images = draw(torch.full((40,), NO_LABEL), 1)
    seen = [int(recognised(images, torch.full((40,), digit)).sum()) for digit in range(10)]
    assert sum(count > 0 for count in seen) >= 6


def test_the_built_one_has_the_shipped_size():
    assert sum(p.numel() for p in build().parameters()) == sum(p.numel() for p in load().parameters())
