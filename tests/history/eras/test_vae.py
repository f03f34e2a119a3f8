"""The VAE of greys: its bound is below the truth, tighter with more draws, and its loss the bound."""

import math

import torch

from companion.history.eras.grey import PIXELS, to_greys
from companion.history.eras.vae import GreyLikelihood, GreyVAE, vae_loss
from tests.conftest import gen


def pictures(n=3):
    return to_greys(torch.rand(n, 1, 28, 28, generator=gen(0)) * 2 - 1)


def test_the_loss_is_the_mean_bound():
    torch.manual_seed(0)
    model, x = GreyVAE(8, 3), pictures()
    loss = vae_loss(model, (x,), gen(1))
    torch.testing.assert_close(loss, model.bound(x, gen(1)).mean())


def test_a_decoder_that_ignores_its_code_and_a_right_posterior_give_the_exact_value():
    """With q(z | x) the prior and pixels of huge width, paper and ink have a half each and the bound is no bound but equal."""
    model = GreyVAE(4, 2)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    model.decoder[-1].bias.data[PIXELS:] = 3.0
    x = pictures().sign()
    s = math.exp(3.0)
    share = 1 / (1 + math.exp(2 / 3 / s))
    torch.testing.assert_close(model.bound(x, gen(0)), torch.full((3,), -PIXELS * math.log(share)), rtol=1e-3, atol=0)
    torch.testing.assert_close(model.bound(x, gen(0), draws=5), model.bound(x, gen(0)))


def test_more_draws_tighten_the_bound():
    torch.manual_seed(1)
    model = GreyVAE(8, 3)
    model.encoder[-1].weight.data *= 5
    x = pictures(20)
    one, many = model.bound(x, gen(0)).mean(), model.bound(x, gen(0), draws=100).mean()
    assert many < one - 0.1


def test_draws_are_the_decoders_means():
    torch.manual_seed(0)
    model = GreyVAE(8, 3)
    drawn = model.draw(5, gen(0))
    assert drawn.shape == (5, 1, 28, 28) and drawn.abs().max() <= 1
    assert torch.equal(GreyLikelihood().mean(torch.full((1, 2), 7.0)), torch.ones(1, 1))
