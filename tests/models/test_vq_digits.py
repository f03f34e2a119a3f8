"""The shipped tokenizer and its prior: error, use of the codes, bits, and draws that the judge takes for digits."""

import math

import torch

from companion.data import digits
from companion.image.vae.prior import PLACES, random_codes
from companion.image.vae.tokenizer import VARIANCE, squared_error
from companion.image.vae.usage import usage
from companion.metrics.digit_judge import judge_features, opinion, recognised
from companion.metrics.frechet import frechet_distance
from companion.models.vq_digits import CODES, build, load, texts
from companion.weights import card
from tests.conftest import gen


def test_reconstructions_are_near_and_still_the_digit() -> None:
    tokenizer, data = load().tokenizer, digits("test", limit=200)
    assert squared_error(tokenizer, data.images) < 0.15 * VARIANCE
    read = recognised(tokenizer(data.images).clamp(-1, 1), data.labels)
    assert float(read.float().mean()) > 0.9


def test_nearly_all_codes_are_used_and_the_prior_pays_fewer_bits_than_equal_lengths() -> None:
    model, x = load(), digits("test").images
    used = usage(model.tokenizer.encode(x), CODES)
    assert used.alive > 0.9 * CODES and used.perplexity > 0.5 * CODES
    assert float(model.bits(x).mean()) < 0.8 * PLACES * math.log2(CODES)


def test_the_prior_draws_digits_and_random_codes_do_not() -> None:
    model, real = load(), judge_features(digits("train").images)
    drawn = model.draw(200, gen(1)).clamp(-1, 1)
    chance = model.tokenizer.decode(random_codes(model, 200, gen(1))).clamp(-1, 1).detach()
    assert float((opinion(drawn).amax(1) > 0.9).float().mean()) > 0.7
    near, far = (frechet_distance(judge_features(x), real) for x in (drawn, chance))
    assert near < 0.2 * far


def test_the_texts_of_the_training_are_drawn_anew_and_of_a_seed_the_same() -> None:
    model, x = load(), digits("train", limit=30).images
    first = texts(model.tokenizer, x, 2, gen(0))
    assert first.shape == (60, 4, 4) and torch.equal(first, texts(model.tokenizer, x, 2, gen(0)))
    assert torch.equal(first[:30], texts(model.tokenizer, x, 1, gen(0)))
    assert not torch.equal(first[:30], first[30:])
    same = (first[:30] == first[30:]).float().mean()
    assert (first[:30] == first[30:].roll(1, 0)).float().mean() + 0.1 < same < 0.9


def test_it_fits_its_card() -> None:
    model = load()
    assert model.tokenizer.quantiser.size == CODES and not model.training
    torch.manual_seed(0)
    assert sum(p.numel() for p in build().parameters()) == card("vq_digits").parameters
