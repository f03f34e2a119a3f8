"""The judge of grey digits reads every colour, in order."""

import torch

from companion.data import digits
from companion.data.stacked import Stacks
from companion.image.gan.reading import grey, read
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


def test_of_noise_it_is_less_sure() -> None:
    noise = torch.rand(100, 3, 16, 16, generator=gen(1)) * 2 - 1
    assert read(noise).sure < 0.9


def test_bad_input() -> None:
    with rejects("images"):
        read(torch.zeros(2, 1, 16, 16))
    with rejects("images"):
        read(torch.full((1, 3, 16, 16), torch.nan))
