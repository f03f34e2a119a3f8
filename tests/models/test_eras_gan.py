"""The shipped GAN of the lesson on four eras: it draws digits of all kinds."""

from companion.models.eras_gan import build, load
from tests.models.eras import draws_digits_of_all_kinds


def test_it_draws_digits_of_all_kinds_nearer_to_real_ones_than_their_mean():
    draws_digits_of_all_kinds(load())


def test_the_built_one_has_the_shipped_size():
    assert [p.shape for p in build().parameters()] == [p.shape for p in load().parameters()]
