"""DPM-Solver++(2M): diffusers' numbers step by step, second order on Gaussian data, the same evaluations as DDIM."""

import math

import pytest
import torch

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.dpm_solver import dpm_sample, half_way
from companion.diffusion.gaussian import gaussian_denoiser, gaussian_factor
from companion.diffusion.paths import RectifiedFlow, VarianceExploding, cosine_schedule, linear_schedule
from companion.diffusion.prediction import as_denoiser
from tests.conftest import rejects
from tests.oracles import PATHS, Spy, known_data


class TestParity:
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    @pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
    @pytest.mark.parametrize("steps", [2, 5, 20])
    def test_every_step_equals_diffusers(self, make, steps):
        """Both ask the same made-up network, at the same steps; diffusers gets float64 tables where it allows."""
        from diffusers import DPMSolverMultistepScheduler

        s = make(1000)
        theirs = DPMSolverMultistepScheduler(
            1000, trained_betas=s.beta.numpy(), prediction_type="sample", timestep_spacing="trailing"
        )
        theirs.set_timesteps(steps)
        spy = Spy(as_denoiser(lambda x, t: torch.tanh(x + t[:, None, None].to(x) / 500), s, "x0"))
        x = torch.randn(2, 3, 5)
        ours = dpm_sample(spy, s, x, steps)
        assert len(spy.x) == steps
        for t, seen, at in zip(theirs.timesteps, spy.x, spy.t, strict=True):
            assert int(t) == int(at[0])
            torch.testing.assert_close(seen, x, rtol=0, atol=1e-5)
            x = theirs.step(torch.tanh(x + float(t) / 500), t, x).prev_sample
        torch.testing.assert_close(ours, x, rtol=0, atol=1e-5)


class TestTruth:
    def test_printed_line_I60(self):
        """``eq-realtime-line``, number by number."""
        s = linear_schedule(50)
        now, before = torch.randn(2, 3).double(), torch.randn(2, 3).double()
        lam = [0.5 * math.log(float(s.alpha_bar[t]) / (1 - float(s.alpha_bar[t]))) for t in (40, 22, 6)]
        r = (lam[1] - lam[0]) / (lam[2] - lam[1])
        want = now + (now - before) / (2 * r)
        torch.testing.assert_close(half_way(s, now, before, 40, 22, 6), want)

    @pytest.mark.parametrize("std", [0.3, 2.0])
    @pytest.mark.parametrize(
        ("path", "grid"),
        [
            (linear_schedule(1000), lambda n: linear_schedule(1000).times(n)),
            (VarianceExploding(0.05, 20.0), lambda n: VarianceExploding(0.05, 20.0).times(n)[:-1]),
            (RectifiedFlow(), lambda n: torch.linspace(0.05, 0.9, n + 1).tolist()),
        ],
    )
    def test_second_order_on_gaussian_data_where_ddim_is_first(self, path, grid, std):
        """The exact path is known; when the steps double, our error falls about fourfold, DDIM's about twofold."""
        x, exact = torch.ones(1, 1).double(), gaussian_denoiser(path, std)
        ours, ddim = [], []
        for n in (25, 50, 100):
            times = grid(n)
            want = gaussian_factor(path, std, times[0], times[-1])
            ours.append(abs(float(dpm_sample(exact, path, x, times)) - want))
            ddim.append(abs(float(ddim_sample(exact, path, x, times)) - want))
        order = [math.log2(e[0] / e[2]) / 2 for e in (ours, ddim)]
        assert order[0] > 1.6, (order, ours)
        assert 0.7 < order[1] < 1.3, (order, ddim)
        assert ours[2] < 0.25 * ddim[2]

    @pytest.mark.parametrize("path", PATHS)
    def test_an_oracle_returns_the_data_exactly_I49(self, path):
        data = torch.randn(3, 2).double()
        for steps in (2, 7, 40):
            got = dpm_sample(known_data(path, data), path, torch.randn(3, 2).double(), steps)
            torch.testing.assert_close(got, data)

    def test_a_prediction_that_stands_still_makes_it_ddim(self):
        s, data, x = cosine_schedule(30), torch.randn(2, 2).double(), torch.randn(2, 2).double()
        torch.testing.assert_close(*(f(known_data(s, data), s, x, [29, 20, 9]) for f in (dpm_sample, ddim_sample)))

    def test_one_step_is_ddims(self):
        s, x = linear_schedule(30), torch.randn(2, 4).double()
        torch.testing.assert_close(*(f(gaussian_denoiser(s, 0.5), s, x, 1) for f in (dpm_sample, ddim_sample)))


def test_bad_input():
    s, x = cosine_schedule(10), torch.zeros(2, 3)
    for path in ((5, 9, 2), (9, 5, 5), (9, 5, 7)):
        with rejects("t, s"):
            half_way(s, x, x, *path)
    with rejects("steps"):
        dpm_sample(gaussian_denoiser(s, 1.0), s, x, 11)
