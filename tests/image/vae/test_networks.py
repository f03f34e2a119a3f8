"""Sizes on both sides of the narrow place; the VAE learns digits."""

import pytest
import torch

from companion.data import digits
from companion.foundations.elbo import elbo, elbo_loss, evaluate
from companion.foundations.vae import BernoulliLikelihood, binarise
from companion.image.vae.networks import Decoder, Encoder, Residual, digit_vae
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(28, 28, 4, 4), (20, 28, 3, 4), (12, 4, 2, 1)])
def test_I57_the_decoder_finds_back_the_size_also_of_pictures_that_are_not_square(height, width, rows, columns) -> None:
    images = torch.randn(3, 1, height, width, generator=gen(1))
    grid = Encoder(5, 6)(images)
    assert grid.shape == (3, 5, rows, columns)
    assert Decoder(5, 6)(grid).shape == images.shape


def test_a_place_of_the_grid_sees_its_part_and_a_picture_does_not_see_another() -> None:
    """Without the norm, which sums over the picture, a corner of a large picture does not reach the opposite one."""
    torch.manual_seed(0)
    encoder = Encoder(5, 6)
    encoder.net[6] = torch.nn.Identity()
    images = torch.randn(2, 1, 60, 60, generator=gen(1))
    other = images.clone()
    other[0, :, :4, :4] += 1
    apart = (encoder(images) - encoder(other)).abs().sum(1)
    assert apart[0, 0, 0] > 0 and apart[0, 4:, 4:].max() == 0 and apart[1].max() == 0


def test_a_residual_block_begins_near_what_it_is_given() -> None:
    x = torch.randn(2, 8, 3, 3, generator=gen(1))
    block = Residual(8)
    for parameter in block.inner[2].parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(block(x), x)


def test_every_code_begins_with_variance_one_and_every_latent_reaches_the_picture() -> None:
    model = digit_vae(7, BernoulliLikelihood(), 6)
    x = (torch.rand(4, 1, 28, 28, generator=gen(1)) < 0.5).float()
    q = model.encode(x)
    assert q.mean.shape == (4, 7) and torch.equal(q.logvar, torch.zeros(4, 7))
    z = torch.randn(1, 7, generator=gen(2)).requires_grad_()
    model.decode(z).square().sum().backward()
    assert (z.grad.abs() > 0).all()
    parts = elbo(model, x, gen(3))
    assert parts.value.shape == (4,) and parts.kl_per_latent.shape == (4, 7)


def test_it_beats_the_best_independent_pixels() -> None:
    """On digits that it has not seen; 300 steps of 16 on 1,000 digits."""
    x, held = (binarise(digits(s, limit=n).images, gen(n)) for s, n in (("train", 1_000), ("valid", 200)))
    chance = ((x.sum(0) + 1) / (len(x) + 2)).expand_as(held)
    coins = -float(torch.distributions.Bernoulli(chance).log_prob(held).sum(1).mean())
    torch.manual_seed(0)
    model = digit_vae(6, BernoulliLikelihood(), 16)
    config = TrainConfig(steps=300, batch_size=16, lr=5e-3, final_lr=0.1, clip=1e3)
    model = train(model, elbo_loss, (x.reshape(-1, 1, 28, 28),), config).model
    assert evaluate(model, held.reshape(-1, 1, 28, 28), gen(3))["elbo"] > -coins + 10


def test_a_residual_block_adds_what_its_network_says() -> None:
    x = torch.randn(2, 8, 3, 3, generator=gen(1))
    block = Residual(8)
    torch.nn.init.zeros_(block.inner[2].weight)
    torch.nn.init.constant_(block.inner[2].bias, 0.75)
    torch.testing.assert_close(block(x), x + 0.75)


def test_bad_input() -> None:
    with rejects("images: got sides .*wanted 4 times an odd"):
        Encoder(3, 4)(torch.zeros(1, 1, 28, 32))
    with rejects("latent"):
        digit_vae(0, BernoulliLikelihood())
    with rejects("width"):
        Decoder(3, 0)
