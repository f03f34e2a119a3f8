"""The shipped GPT of the lesson on four eras: it draws digits of all kinds, and its bound beats pixels alone."""

from companion.models.eras_gpt import build, load
from tests.models.eras import bounds_better_than_pixels_alone, draws_digits_of_all_kinds


def test_it_draws_digits_of_all_kinds_nearer_to_real_ones_than_their_mean():
    draws_digits_of_all_kinds(load())


def test_its_bound_is_far_below_that_of_independent_pixels():
    bounds_better_than_pixels_alone(load())


def test_the_built_one_has_the_shipped_size():
    assert [p.shape for p in build().parameters()] == [p.shape for p in load().parameters()]
