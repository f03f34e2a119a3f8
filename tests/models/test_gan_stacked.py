"""The shipped generator: modes, clarity, and that it fits its card."""

import torch

from companion.data import digits
from companion.data.stacked import MODES, Stacks
from companion.image.gan.dcgan import LATENT
from companion.image.gan.ladder import distance
from companion.image.gan.reading import features, read, read_nearest
from companion.metrics.class_coverage import coverage
from companion.models.gan_stacked import SIDE, load
from companion.weights import card
from tests.conftest import gen


def test_it_draws_most_modes_and_the_judge_is_sure_of_its_digits() -> None:
    with torch.no_grad():
        drawn = load()(torch.randn(2_000, LATENT, generator=gen(1)))
    assert drawn.shape == (2_000, 3, SIDE, SIDE)
    assert read(drawn[:200]).sure > 0.7
    assert (
        coverage(read_nearest(drawn, Stacks.small(digits("train")).digits), MODES).found > 780
    )  # of 865 that 2,000 draws of the uniform law find


def test_its_colours_are_as_near_to_digits_as_its_card_says_of_other_draws() -> None:
    """A Gaussian with the mean and covariance of such pictures has a distance of nearly 800."""
    with torch.no_grad():
        drawn = load()(torch.randn(500, LATENT, generator=gen(2)))
    found = distance(features(drawn), Stacks.small(digits("train")))
    assert found < 1.5 * card("gan_stacked").quality["cnn_fid_colours"] < 200


def test_it_fits_its_card() -> None:
    assert sum(p.numel() for p in load().parameters()) == card("gan_stacked").parameters
