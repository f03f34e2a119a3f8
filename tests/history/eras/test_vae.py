"""The VAE of greys: its likelihood is the cross-entropy made a probability; its bound is tighter with more draws."""

import math

import torch

from companion.history.eras.grey import PIXELS, to_greys
from companion.history.eras.vae import GreyLikelihood, GreyVAE, vae_loss
from tests.conftest import gen, rejects

VALUES = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0])


def pictures(n=3):
    return to_greys(torch.rand(n, 1, 28, 28, generator=gen(0)) * 2 - 1)


def test_the_likelihood_is_the_cross_entropy_divided_by_its_sum_over_the_greys():
    output, likelihood = torch.randn(5, 1, generator=gen(1)) * 3, GreyLikelihood()
    entropies = [
        -torch.nn.functional.binary_cross_entropy_with_logits(3 * output, ((g + 1) / 2).expand(5, 1), reduction="none")
        for g in VALUES
    ]
    wanted = torch.cat(entropies, 1).log_softmax(1)
    for grey, value in enumerate(VALUES):
        torch.testing.assert_close(likelihood.log_prob(output, value.expand(5, 1)), wanted[:, grey])
    torch.testing.assert_close(likelihood.mean(output)[:, 0], (wanted.exp() * VALUES).sum(1))


def test_the_mean_is_that_of_the_softmax_over_the_greys():
    output = torch.linspace(-30, 30, 13)[None]
    shares = (output[..., None] * torch.arange(4)).softmax(-1)
    torch.testing.assert_close(GreyLikelihood().mean(output), (shares * VALUES).sum(-1))


def test_the_loss_is_the_mean_bound():
    torch.manual_seed(0)
    model, x = GreyVAE(8, 3), pictures()
    torch.testing.assert_close(vae_loss(model, (x,), gen(1)), model.bound(x, gen(1)).mean())


def test_where_the_code_says_nothing_the_bound_is_the_exact_value_for_any_number_of_draws():
    model, x = GreyVAE(4, 2), pictures()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    for draws in (1, 5):
        torch.testing.assert_close(model.bound(x, gen(0), draws), torch.full((3,), PIXELS * math.log(4)))


def test_more_draws_tighten_the_bound():
    torch.manual_seed(1)
    model = GreyVAE(8, 3)
    model.encoder[-1].weight.data *= 5
    x = pictures(20)
    assert model.bound(x, gen(0), draws=100).mean() < model.bound(x, gen(0)).mean() - 0.1


def test_draws_are_mean_greys_of_codes_from_the_prior():
    torch.manual_seed(0)
    model = GreyVAE(8, 3)
    drawn = model.draw(5, gen(0))
    assert drawn.shape == (5, 1, 28, 28) and drawn.abs().max() <= 1
    wanted = model.likelihood.mean(model.decoder(torch.randn(5, 3, generator=gen(0))))
    torch.testing.assert_close(drawn.flatten(1), wanted)


def test_bad_input():
    with rejects("images"):
        GreyVAE(4, 2).bound(torch.full((1, 1, 28, 28), 0.1), gen(0))
