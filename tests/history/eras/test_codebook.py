"""The codebook: distinct patches come back exactly, and its probability is a bound on what the greys have."""

import itertools

import torch

from companion.data import digits
from companion.history.eras.codebook import PATCH, TOKENS, Codebook
from companion.history.eras.grey import to_greys
from tests.conftest import gen, rejects

IMAGES = to_greys(digits("train", limit=200).images)


def test_with_a_token_for_each_patch_nothing_is_lost_I63():
    """Pictures of two kinds of patches: the tokens say all, so little is left open."""
    images = -torch.ones(6, 1, 28, 28)
    images[3:, :, ::2] = 1.0
    book = Codebook(2).fit(images, gen(0))
    assert torch.equal(book.decode(book.encode(images)), images)
    assert book.encode(images).shape == (6, TOKENS)
    assert (book.log_prob(images) > -TOKENS * PATCH * 0.01).all()


def test_tokens_are_read_line_by_line():
    images = -torch.ones(1, 1, 28, 28)
    images[0, 0, 2:4, 4:8] = 1.0  # second row of patches, second column
    book = Codebook(2).fit(torch.cat([images, -torch.ones(1, 1, 28, 28)]), gen(0))
    tokens = book.encode(images)[0]
    assert int((tokens != tokens[0]).nonzero()) == 7 + 1


def test_a_token_draws_the_mean_of_its_patches_and_is_its_own_nearest():
    book = Codebook(32).fit(IMAGES, gen(1))
    tokens = book.encode(IMAGES)
    assert torch.equal(
        book.encode(book.decode(tokens).clamp(-1, 1)).unique(), book.encode(book.decode(tokens)).unique()
    )
    error = (book.decode(tokens) - IMAGES).square().mean()
    coarse = Codebook(4).fit(IMAGES, gen(1))
    assert error < 0.5 * (coarse.decode(coarse.encode(IMAGES)) - IMAGES).square().mean()


def test_tokens_are_numbered_from_light_to_dark():
    book = Codebook(32).fit(IMAGES, gen(3))
    assert (book.patches.mean(1).diff() >= -1e-6).all()
    assert (book.encode(-torch.ones(1, 1, 28, 28)) == 0).all()


def test_the_greys_of_a_patch_share_all_the_mass_of_its_token():
    """Summed over all contents of one pixel, the histogram's probabilities are 1."""
    book = Codebook(8).fit(IMAGES, gen(2))
    torch.testing.assert_close(book.shares.exp().sum(-1), torch.ones(8, PATCH))


def test_pictures_of_other_tokens_have_some_of_the_mass_so_the_value_is_a_bound():
    """Of all patches with two free pixels, the mass on those that the token itself encodes is less than 1."""
    book = Codebook(8).fit(IMAGES, gen(2))
    values = [-1.0, -1 / 3, 1 / 3, 1.0]
    inside, patch = 0.0, (IMAGES[:1] * 0 - 1)
    token = int(book.encode(patch)[0, 0])
    shares = book.shares.log_softmax(-1)[token].exp()
    for i, j in itertools.product(range(4), repeat=2):
        x = patch.clone()
        x[0, 0, 0, 0], x[0, 0, 0, 1] = values[i], values[j]
        inside += float(shares[0, i] * shares[1, j]) * (int(book.encode(x)[0, 0]) == token)
    assert 0.5 < inside < 1


def test_bad_input():
    with rejects("distinct patches"):
        Codebook(64).fit(-torch.ones(2, 1, 28, 28), gen(0))
    with rejects("tokens"):
        Codebook(4).decode(torch.full((1, TOKENS), 4))
