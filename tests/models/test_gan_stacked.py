"""The shipped generator: modes, clarity, and that it fits its card."""

import torch

from companion.data import digits
from companion.data.stacked import MODES, Stacks
from companion.image.gan.dcgan import LATENT
from companion.image.gan.reading import grey, read, read_nearest
from companion.metrics.class_coverage import coverage
from companion.metrics.digit_judge import cnn_fid
from companion.models.gan_stacked import SIDE, build, load
from companion.weights import card
from tests.conftest import gen


def test_it_draws_most_modes_and_the_judge_is_sure_of_its_digits() -> None:
    with torch.no_grad():
        drawn = load()(torch.randn(2_000, LATENT, generator=gen(1)))
    assert drawn.shape == (2_000, 3, SIDE, SIDE)
    assert read(drawn[:200]).sure > 0.5
    assert (
        coverage(read_nearest(drawn, Stacks.small(digits("train")).digits), MODES).found > 780
    )  # of 865 that 2,000 draws of the uniform law find


def test_its_colours_are_nearer_to_digits_than_an_untrained_ones() -> None:
    real = grey(Stacks.small(digits("train")).draw(150, gen(1))[0])
    z = torch.randn(150, LATENT, generator=gen(2))
    torch.manual_seed(0)
    with torch.no_grad():
        near, far = (cnn_fid(grey(net(z)), real) for net in (load(), build()))
    assert near < 0.2 * far


def test_it_fits_its_card() -> None:
    assert sum(p.numel() for p in load().parameters()) == card("gan_stacked").parameters
