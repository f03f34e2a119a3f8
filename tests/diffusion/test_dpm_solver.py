"""DPM-Solver++(2M): diffusers' numbers step by step, second order on Gaussian data, the same passes as DDIM."""

import math

import pytest
import torch

from companion.diffusion.ddim import strided
from companion.diffusion.ddpm import NoiseSchedule, cosine_schedule, linear_schedule
from companion.diffusion.dpm_solver import dpm_sample, half_way, log_ratio
from companion.diffusion.jumps import gaussian_factor, gaussian_guess, jump_sample
from tests.conftest import rejects


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
        assert theirs.timesteps.tolist() == strided(1000, steps)
        asked: list[torch.Tensor] = []

        def guess(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            asked.append(x.clone())
            return torch.tanh(x + t[:, None, None].to(x) / 500)

        x = torch.randn(2, 3, 5)
        ours = dpm_sample(guess, s, x, steps)
        assert len(asked) == steps
        for t, seen in zip(theirs.timesteps, asked, strict=True):
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
    def test_second_order_on_gaussian_data_where_ddim_is_first(self, std):
        """The exact path is known; when the steps double, our error falls about fourfold, DDIM's about twofold."""
        s, x = linear_schedule(1000), torch.ones(1, 1).double()
        want, guess = gaussian_factor(s, std, 999), gaussian_guess(s, std)
        ours, ddim = (
            [abs(float(sample(guess, s, x, n)) - want) for n in (25, 50, 100)] for sample in (dpm_sample, jump_sample)
        )
        order = [math.log2(e[0] / e[2]) / 2 for e in (ours, ddim)]
        assert order[0] > 1.6, (order, ours)
        assert 0.7 < order[1] < 1.3, (order, ddim)
        assert ours[2] < 0.25 * ddim[2]

    def test_an_oracle_returns_the_data_exactly_I49(self):
        s, data = cosine_schedule(40), torch.randn(3, 2).double()
        for steps in (1, 2, 7, 40):
            got = dpm_sample(lambda x, t: data, s, torch.randn(3, 2).double(), steps)
            torch.testing.assert_close(got, data)

    def test_a_guess_that_stands_still_makes_it_ddim(self):
        s, data, x = cosine_schedule(30), torch.randn(2, 2).double(), torch.randn(2, 2).double()
        torch.testing.assert_close(*(f(lambda x, t: data, s, x, 5) for f in (dpm_sample, jump_sample)))

    def test_one_step_is_a_jump(self):
        s, x = linear_schedule(30), torch.randn(2, 4).double()
        torch.testing.assert_close(*(f(gaussian_guess(s, 0.5), s, x, 1) for f in (dpm_sample, jump_sample)))


def test_the_log_ratio_rises_as_noise_falls():
    s = cosine_schedule(30)
    values = [log_ratio(s, t) for t in reversed(range(-1, 30))]
    assert values == sorted(values)
    assert values[-1] == math.inf


def test_the_log_ratio_keeps_its_digits_at_high_and_low_noise_I46():
    s = NoiseSchedule(torch.tensor([1e-9, 0.5, 0.999999], dtype=torch.float64))
    bars = [1 - 1e-9, (1 - 1e-9) * 0.5, (1 - 1e-9) * 0.5 * 1e-6]
    for t, bar in enumerate(bars):
        assert log_ratio(s, t) == pytest.approx(0.5 * math.log(bar / (1 - bar)), rel=1e-6)


def test_bad_input():
    s, x = cosine_schedule(10), torch.zeros(2, 3)
    for path in ((9, 5, -1), (5, 9, 2), (9, 5, 5)):
        with rejects("t_before, t, s"):
            half_way(s, x, x, *path)
    with rejects("t"):
        log_ratio(s, 10)
    with rejects("steps"):
        dpm_sample(lambda x, t: x, s, x, 11)
