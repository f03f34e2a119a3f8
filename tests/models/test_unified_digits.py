"""The shipped decoder of words and pictures reads digits and draws them."""

import torch

from companion.data import digits
from companion.future.unified import draw, read, to_codes, to_images
from companion.metrics.digit_judge import recognised
from companion.models.unified_digits import build, load
from companion.weights import card
from tests.conftest import gen


def test_it_reads_digits_that_it_has_not_seen() -> None:
    """Chance is 0.1; the card says 0.96 on 500."""
    held_out = digits("test", limit=100)
    codes = to_codes(held_out.images)
    assert (read(load(), codes).argmax(1) == held_out.labels).float().mean() > 0.88
    torch.manual_seed(0)
    assert (read(build().eval(), codes).argmax(1) == held_out.labels).float().mean() < 0.4


def test_it_draws_the_digit_that_it_is_asked_for() -> None:
    """A judge recognises most of them (0.84 on the card); with the words turned by one, hardly any."""
    labels = torch.arange(40) % 10
    drawn = to_images(draw(load(), labels, gen(1), temperature=0.8))
    assert recognised(drawn, labels).float().mean() > 0.65
    assert recognised(drawn, (labels + 1) % 10).float().mean() < 0.2
    assert len({image.numpy().tobytes() for image in drawn}) > 35  # not one picture for each word


def test_it_fits_its_card() -> None:
    model = load()
    assert sum(parameter.numel() for parameter in model.parameters()) == card("unified_digits").parameters
    assert not model.training
