"""The judge of grey digits reads every colour, in order."""

import pytest
import torch

from companion.data import digits, small_digits
from companion.data.stacked import Stacks
from companion.image.gan import reading
from companion.image.gan.reading import features, grey, read, read_nearest
from companion.metrics.digit_judge import judge_features
from tests.conftest import gen, rejects


def test_it_reads_stacked_digits_it_was_not_trained_on() -> None:
    images, modes = Stacks.small(digits("test")).draw(300, gen(1))
    seen = read(images)
    assert (seen.modes == modes).float().mean() > 0.93
    assert seen.sure > 0.9


def test_colours_are_read_in_order_and_by_themselves() -> None:
    images, modes = Stacks.small(digits("train")).draw(100, gen(2))
    turned = read(images[:, [1, 2, 0]]).modes
    plain = read(images).modes
    assert torch.equal(turned, plain // 10 % 10 * 100 + plain % 10 * 10 + plain // 100)
    assert grey(images).shape == (300, 1, 28, 28)
    assert not torch.equal(plain, turned) and (plain == modes).float().mean() > 0.95


def test_a_judge_knows_only_digits_and_is_sure_of_noise_too() -> None:
    """So its confidence says nothing about pictures that do not resemble digits: a distance has to stand beside it."""
    noise = torch.rand(100, 3, 16, 16, generator=gen(1)) * 2 - 1
    seen = read(noise)
    assert seen.sure > 0.9 and len(seen.modes.unique()) < 5


def test_features_of_the_three_colours_stand_in_a_row() -> None:
    images = Stacks.small(digits("train", limit=100)).draw(5, gen(1))[0]
    found = features(images)
    assert found.shape == (5, 192)
    assert torch.allclose(found[3, 64:128], judge_features(grey(images)[10:11])[0], atol=1e-4)


def test_the_nearest_known_digit_reads_small_digits() -> None:
    """Itself if it is known; of held-out ones nearly all."""
    known = small_digits("train")
    images, modes = Stacks(known).draw(2_100, gen(1))
    assert (read_nearest(images, known) == modes).all()
    held, want = Stacks(small_digits("test")).draw(300, gen(2))
    assert (read_nearest(held, known) == want).float().mean() > 0.95


def test_sure_is_the_share_of_colours_with_a_confidence_over_nine_tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    said = torch.tensor([[0.95, 0.05], [0.85, 0.15], [0.3, 0.7], [0.09, 0.91], [0.5, 0.5], [0.08, 0.92]])
    monkeypatch.setattr(reading, "opinion", lambda images: said)
    assert read(torch.zeros(2, 3, 16, 16)).sure == 0.5


def test_a_smear_has_a_nearest_digit_too() -> None:
    """Pictures of one mean and covariance with the digits, and nothing else of them, count as nearly all modes."""
    train = Stacks(small_digits("train"))
    flat = train.draw(3_000, gen(1))[0].flatten(1)
    root = torch.linalg.cholesky(torch.cov(flat.T) + 1e-5 * torch.eye(192))
    smear = flat.mean(0) + torch.randn(3_000, 192, generator=gen(2)) @ root.T
    assert len(read_nearest(smear.view(-1, 3, 8, 8), train.digits).unique()) > 850


def test_bad_input() -> None:
    known = small_digits("train", limit=50)
    for images in (torch.zeros(2, 1, 16, 16), torch.full((1, 3, 16, 16), torch.nan)):
        with rejects("images"):
            read(images)
    for images in (torch.zeros(2, 3, 16, 16), torch.full((1, 3, 8, 8), torch.nan)):
        with rejects("images"):
            read_nearest(images, known)
