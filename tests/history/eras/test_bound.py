"""The bound in bits of a diffusion model: true to a closed form, never below the truth, on the scale of a probability."""

import math

import pytest
import torch

from companion.diffusion.paths import cosine_schedule
from companion.diffusion.prediction import as_denoiser
from companion.history.eras.bound import WIDTHS, binary_bound, fit_width, last_step_nats
from tests.conftest import rejects

SCHEDULE = cosine_schedule(200)


def coins(n: int, p: float, seed: int = 0):
    """Images of 2×3 independent pixels, ink with probability p."""
    return torch.bernoulli(torch.full((n, 1, 2, 3), p), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def ideal(p: float):
    """The best possible denoiser of `coins`: E[x0 | x_t] of a two-point prior, by Bayes' rule."""

    def net(x, t):
        share = SCHEDULE.at(SCHEDULE.alpha_bar, t, x)
        log_odds = math.log(p / (1 - p)) + 2 * share.sqrt() * x / (1 - share)
        return torch.tanh(log_odds / 2)

    return as_denoiser(net, SCHEDULE, "x0")


def test_the_two_sides_of_a_pixel_share_all_the_mass():
    mean = torch.randn(4, 1, 1, 1, dtype=torch.float64)
    ink, paper = (torch.exp(-last_step_nats(mean, side * torch.ones_like(mean), 0.3)) for side in (1, -1))
    torch.testing.assert_close(ink + paper, torch.ones(4, dtype=torch.float64))
    normal = torch.distributions.Normal(mean.flatten(), 0.3)
    torch.testing.assert_close(paper, normal.cdf(torch.zeros(4, dtype=torch.float64)))


@pytest.mark.parametrize("p", [0.5, 0.15])
def test_with_the_best_denoiser_the_bound_is_just_above_the_entropy_I62_I63(p):
    x0, denoiser = coins(800, p), ideal(p)
    width = fit_width(denoiser, SCHEDULE, coins(200, p, seed=1), torch.Generator().manual_seed(2))
    bound = binary_bound(denoiser, SCHEDULE, x0, torch.Generator().manual_seed(3), width=width)
    ink = (x0 > 0).double().mean()
    truth = -6 * float(ink * math.log(p) + (1 - ink) * math.log(1 - p))  # of these very images
    assert truth < float(bound.total.mean()) < 1.15 * truth
    assert float(bound.prior.mean()) < 1e-3


def test_a_worse_denoiser_has_a_higher_bound():
    x0 = coins(200, 0.3)
    right, wrong = (
        binary_bound(ideal(p), SCHEDULE, x0, torch.Generator().manual_seed(4), width=0.05).total.mean()
        for p in (0.3, 0.8)
    )
    assert float(wrong) > float(right) + 0.5


def test_each_image_has_its_own_number_and_no_other_images():
    x0 = coins(3, 0.5)
    changed = x0.clone()
    changed[1] = -changed[1]
    one, two = (
        binary_bound(ideal(0.2), SCHEDULE, x, torch.Generator().manual_seed(5), width=0.1).total for x in (x0, changed)
    )
    assert torch.equal(one[[0, 2]], two[[0, 2]]) and float(one[1]) != float(two[1])


def test_bad_input():
    x0 = coins(2, 0.5)
    for call, pattern in [
        (lambda: last_step_nats(x0, x0 * 0.5, 0.1), "x0: got shape"),
        (lambda: last_step_nats(x0[:1], x0, 0.1), "x0: got shape"),
        (lambda: last_step_nats(x0, x0, 0.0), "width: got"),
        (lambda: binary_bound(ideal(0.5), SCHEDULE, x0[0], torch.Generator(), width=0.1), "x0: got shape"),
    ]:
        with rejects(pattern):
            call()
    assert min(WIDTHS) > 0
