"""The shipped GPT of the lesson on four eras: it draws digits of all kinds, and its bound is better than pixels alone."""

import torch

from companion.data import digits
from companion.history.eras.grey import to_greys
from companion.metrics.digit_judge import cnn_fid, opinion
from companion.models.eras_gpt import build, load
from tests.conftest import gen


def test_it_draws_digits_of_all_kinds_nearer_to_real_ones_than_their_mean():
    drawn, real = to_greys(load().draw(100, gen(3))), digits("valid").images
    assert len(opinion(drawn).argmax(1).unique()) >= 9
    mean = real.mean(0, keepdim=True) + 0.3 * torch.randn(100, 1, 28, 28, generator=gen(4))
    assert cnn_fid(drawn, real) < 0.3 * cnn_fid(mean, real)


def test_its_bound_is_far_below_that_of_the_untrained_model_and_of_independent_pixels():
    unseen = to_greys(digits("test", limit=60).images)
    assert float(load().bound(unseen, gen(5)).mean()) < 230  # independent pixels need 350 nats


def test_the_built_one_has_the_shipped_size():
    assert [p.shape for p in build().parameters()] == [p.shape for p in load().parameters()]
