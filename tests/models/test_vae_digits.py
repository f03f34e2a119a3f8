"""The shipped VAE: its bound, what its draws look like to the judge, and that it fits its card."""

import torch

from companion.data import digits
from companion.foundations.elbo import iwae
from companion.image.vae.networks import SIDE
from companion.metrics.digit_judge import judge_features
from companion.metrics.frechet import frechet_distance
from companion.models.vae_digits import LATENT, build, load, pixels
from companion.weights import card
from tests.conftest import gen


def test_its_bound_on_digits_it_has_not_seen_and_more_draws_raise_it() -> None:
    """Independent pixels need about 207 nats; the card says what the bound is on all of them."""
    model, x = load(), pixels(digits("test", limit=100).images, gen(1))
    one, many = (-float(iwae(model, x, k, gen(2)).mean()) for k in (1, 50))
    assert many < one - 1 and 85 < many < 100


def test_its_draws_are_nearer_to_digits_than_an_untrained_ones() -> None:
    real = judge_features(digits("train").images)
    drawn = 2 * load().sample(200, gen(1)) - 1
    assert drawn.shape == (200, 1, SIDE, SIDE)
    torch.manual_seed(0)
    other = 2 * build().sample(200, gen(1)) - 1
    near, far = (frechet_distance(judge_features(x), real) for x in (drawn, other))
    assert near < 0.2 * far


def test_pixels_are_zeros_and_ones_of_the_pictures_shape() -> None:
    x = digits("valid", limit=30).images
    found = pixels(x, gen(1))
    assert found.shape == x.shape and set(found.unique().tolist()) == {0.0, 1.0}
    assert (found[x == -1] == 0).all() and (found[x == 1] == 1).all()


def test_it_fits_its_card() -> None:
    model = load()
    assert model.latent_shape == (LATENT,)
    assert sum(p.numel() for p in model.parameters()) == card("vae_digits").parameters
