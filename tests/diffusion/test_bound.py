"""The variational bound: term by term against closed forms of a linear-Gaussian chain."""

import math

import pytest
import torch

from companion.diffusion.bound import bound_terms
from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.paths import VariancePreserving, cosine_schedule, linear_schedule
from tests.conftest import rejects


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_of_standard_normal_data_it_is_the_entropy():
    """The large variance is the true reverse there, so the bound is tight: the sum is the data's entropy."""
    s, x0 = linear_schedule(12), torch.randn(40_000, 2, dtype=torch.float64, generator=gen(7))
    terms = bound_terms(gaussian_denoiser(s, 1.0), s, x0, gen())
    assert terms.shape == (13, 40_000)
    assert float(terms.sum(0).mean()) == pytest.approx(2 * 0.5 * math.log(2 * math.pi * math.e), abs=0.03)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_term_by_term_for_gaussian_data_I62_I52(variance):
    """Each term against its closed form; the terms differ over t, so an order mixed up or a step that stands still shows."""
    s, sd, n = cosine_schedule(9), 0.5, 100_000
    x0 = sd * torch.randn(n, 1, dtype=torch.float64, generator=gen(1))
    got = bound_terms(gaussian_denoiser(s, sd), s, x0, gen(2), variance=variance).mean(1)
    want = []
    for t in range(9):
        bar, before, beta = (float(v[t]) for v in (s.alpha_bar, s.alpha_bar_before, s.beta))
        left = sd**2 * (1 - bar) / (bar * sd**2 + 1 - bar)  # the variance of x_0 given x_t
        error = before * beta**2 / (1 - bar) ** 2 * left  # of the reverse mean
        true = beta * (1 - before) / (1 - bar)
        ours = true if variance == "small" else beta
        if t == 0:
            if variance == "small":
                ours = float(s.posterior_variance[1])
            want.append(0.5 * (math.log(2 * math.pi * ours) + error / ours))
        else:
            want.append(0.5 * (true / ours - 1 - math.log(true / ours) + error / ours))
    bar = float(s.alpha_bar[-1])
    want.append(0.5 * (bar * sd**2 - bar - math.log(1 - bar)))
    assert got.tolist() == pytest.approx(want, abs=0.02, rel=0.02)
    assert len({round(v, 3) for v in want}) >= 8
    assert float(got.sum()) > 0.5 * math.log(2 * math.pi * math.e * sd**2)  # a bound


def test_bad_input():
    s = linear_schedule(5)
    with rejects("variance"):
        bound_terms(gaussian_denoiser(s, 1.0), s, torch.zeros(2, 3), gen(), variance="tiny")
    with rejects("x0: got"):
        bound_terms(gaussian_denoiser(s, 1.0), s, torch.zeros(2, 3) * math.nan, gen())


def test_the_last_row_is_what_the_noise_still_knows_of_the_data():
    """L_T is the divergence of N(√bar x0, 1 - bar) from N(0, 1), here of a path that keeps most of the data."""
    path, x0 = VariancePreserving(torch.tensor([0.1, 0.2])), torch.tensor([[0.5, -2.0], [0.0, 1.0]]).double()
    bar = 0.9 * 0.8
    noisy = torch.distributions.Normal(bar**0.5 * x0, (1 - bar) ** 0.5)
    plain = torch.distributions.Normal(torch.zeros_like(x0), 1.0)
    want = torch.distributions.kl_divergence(noisy, plain).sum(1)
    last = bound_terms(gaussian_denoiser(path, 1.0), path, x0, torch.Generator())[-1]
    torch.testing.assert_close(last, want, rtol=0, atol=1e-6)
