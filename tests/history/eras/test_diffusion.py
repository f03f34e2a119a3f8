"""The diffusion model of greys: the bound is that of the densities' terms, and just above the truth for the best denoiser."""

import math

import pytest
import torch

from companion.diffusion.bound import bound_terms
from companion.diffusion.prediction import as_denoiser
from companion.history.eras.diffusion import LAST, SCHEDULE, STEPS, WIDTHS, GreyUNet, prior_nats, step_nats
from companion.history.eras.grey import PIXELS, log_mass, to_greys
from companion.nn.timestep import timestep_embedding
from tests.conftest import gen, rejects

VALUES = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0], dtype=torch.float64)
SHARES = torch.tensor([0.7, 0.05, 0.05, 0.2], dtype=torch.float64)


def pictures(n, seed=0):
    """Independent pixels of unequal greys."""
    return VALUES[torch.multinomial(SHARES, n * PIXELS, replacement=True, generator=gen(seed))].reshape(n, 1, 28, 28)


def ideal(shares=SHARES):
    """E[x | x_t] of `pictures`, by Bayes' rule."""

    def net(x, t):
        bar = SCHEDULE.at(SCHEDULE.alpha_bar, t, x)[..., None]
        logits = shares.log() - (x[..., None] - bar.sqrt() * VALUES).square() / (2 * (1 - bar))
        return (logits.softmax(-1) * VALUES).sum(-1)

    return as_denoiser(net, SCHEDULE, "x0")


def total(denoiser, x, width):
    t = torch.full((len(x),), LAST)
    noise = torch.randn(x.shape, generator=gen(9), dtype=x.dtype)
    bar = SCHEDULE.at(SCHEDULE.alpha_bar, t, x)
    mean = denoiser(bar.sqrt() * x + (1 - bar).sqrt() * noise, t).x0
    last = log_mass(x, mean, torch.tensor(math.log(width), dtype=x.dtype))
    return prior_nats(x) + step_nats(denoiser, x, gen(3), STEPS - 1 - LAST) - last


def test_the_terms_are_those_of_the_bound_on_a_density_I62():
    """Step by step the divergences of `companion.diffusion.bound`: here by signal over noise, there by means and variances."""
    x, denoiser = pictures(2), ideal()
    terms = bound_terms(denoiser, SCHEDULE, x, gen(3), variance="small")
    torch.testing.assert_close(prior_nats(x), terms[-1])
    mine, theirs = step_nats(denoiser, x, gen(4), STEPS - 1, last=0).mean(), terms[1:-1].sum(0).mean()
    assert float(mine) == pytest.approx(float(theirs), rel=0.05)  # other noise, the same mean


def test_fewer_draws_leave_the_mean_as_it_is():
    x, denoiser = pictures(16), ideal()
    all_of_them, some = (step_nats(denoiser, x, gen(5), draws) for draws in (87, 29))
    error = float(some.std()) / len(x) ** 0.5
    assert abs(float(some.mean() - all_of_them.mean())) < 4 * error
    assert not torch.equal(some, all_of_them)


def test_with_the_best_denoiser_the_bound_is_just_above_the_entropy_I63():
    x = pictures(5)
    shares = torch.stack([(x == value).double().mean() for value in VALUES])
    truth = -PIXELS * float((shares * SHARES.log()).sum())  # of these very pictures
    bound = float(total(ideal(), x, 0.06).mean())
    assert truth < bound < 1.1 * truth
    wrong = torch.tensor([0.1, 0.4, 0.4, 0.1], dtype=torch.float64)
    assert float(total(ideal(wrong), x, 0.03).mean()) > bound + 20


class TestGreyUNet:
    @pytest.fixture
    def net(self):
        torch.manual_seed(0)
        return GreyUNet((8, 16)).eval()

    def test_the_parts_of_its_bound(self, net):
        x = to_greys(torch.rand(3, 1, 28, 28, generator=gen(0)) * 2 - 1)
        assert net.bound(x, gen(1), draws=29).shape == (3,)
        net.width.fill_(WIDTHS[0])
        chosen = float(net.fit_width(x, gen(2)).width)
        costs = {}
        for width in WIDTHS:
            net.width.fill_(width)
            costs[width] = float(net.bound(x, gen(3), draws=29).mean())
        assert min(costs, key=costs.get) == pytest.approx(chosen)

    def test_draws_are_pictures_and_follow_the_generator(self, net):
        drawn = net.draw(2, gen(1), steps=3)
        assert drawn.shape == (2, 1, 28, 28) and drawn.abs().max() <= 1 + 1e-5
        assert torch.equal(drawn, net.draw(2, gen(1), steps=3)) and not torch.equal(drawn, net.draw(2, gen(2), steps=3))

    def test_it_is_told_its_step_in_thousandths_I47(self, net):
        x, t, seen = torch.zeros(3, 1, 28, 28), torch.tensor([0, 7, 99]), []
        net.net.time_embedding["linear_1"].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
        net(x, t)
        torch.testing.assert_close(seen[0], timestep_embedding(10 * t, 8))


def test_bad_input():
    with rejects("divisor of 87"):
        step_nats(ideal(), pictures(1), gen(), 30)
    with rejects("draws"):
        step_nats(ideal(), pictures(1), gen(), 200)
