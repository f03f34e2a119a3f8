"""Grids and laws of times: diffusers' timesteps for each spacing, its Karras levels, and the laws' distributions."""

import math

import pytest
import torch

from companion.diffusion.times import (
    SPACINGS,
    LogitNormal,
    LogNormal,
    LogUniform,
    Uniform,
    UniformSteps,
    geometric_sigmas,
    karras_sigmas,
    timesteps,
)
from tests.conftest import rejects

LIKE = torch.empty(0)


def gen() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class TestGrids:
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("steps", [1, 2, 7, 20, 50, 300, 1000])
    def test_timesteps_equal_diffusers(self, spacing, steps):
        from diffusers import DDIMScheduler

        theirs = DDIMScheduler(1000, timestep_spacing=spacing)
        theirs.set_timesteps(steps)
        assert timesteps(1000, steps, spacing) == theirs.timesteps.tolist()

    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize(("total", "steps"), [(1000, 20), (1000, 1000), (1000, 7), (5, 3), (1, 1)])
    def test_so_many_falling_none_twice(self, spacing, total, steps):
        got = timesteps(total, steps, spacing)
        assert len(set(got)) == steps and got == sorted(got, reverse=True) and 0 <= got[-1] <= got[0] < total

    def test_only_trailing_begins_at_the_noisiest_step_for_every_number(self):
        assert all(timesteps(1000, n)[0] == 999 for n in (1, 3, 20, 999))
        assert timesteps(1000, 4, "leading")[0] == 750
        assert timesteps(1000, 1, "linspace") == [0]

    @pytest.mark.parametrize(("low", "high", "rho"), [(0.002, 80.0, 7.0), (0.03, 5.0, 3.0)])
    def test_karras_levels_equal_diffusers(self, low, high, rho):
        from diffusers import EDMEulerScheduler

        theirs = EDMEulerScheduler(sigma_min=low, sigma_max=high, rho=rho)
        theirs.set_timesteps(13)
        torch.testing.assert_close(karras_sigmas(13, low, high, rho).float(), theirs.sigmas[:-1], rtol=1e-5, atol=0)

    def test_geometric_levels(self):
        levels = geometric_sigmas(2.0, 0.02, 5)
        torch.testing.assert_close(levels[[0, -1]], torch.tensor([2.0, 0.02]))
        torch.testing.assert_close(levels[1:] / levels[:-1], torch.full((4,), 0.1**0.5), rtol=0, atol=1e-6)

    def test_karras_levels_of_the_paper_are_the_default(self):
        assert torch.equal(karras_sigmas(9), karras_sigmas(9, 0.002, 80.0, 7.0))


class TestLaws:
    @pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.8, 1.0), (0.5, 0.4)])
    def test_logit_normal(self, mean, std):
        """Mean and spread of the logit; a uniform law has a logit of mean 0 and spread 1.81."""
        t = LogitNormal(mean, std)(40_000, gen(), LIKE)
        logit = t.logit()
        assert float(logit.mean()) == pytest.approx(mean, abs=0.02)
        assert float(logit.std()) == pytest.approx(std, rel=0.02)
        assert float(((logit - mean) / std).abs().lt(1).float().mean()) == pytest.approx(0.683, abs=0.01)

    def test_log_normal(self):
        logarithm = LogNormal()(40_000, gen(), LIKE).log()
        assert float(logarithm.mean()) == pytest.approx(-1.2, abs=0.02)
        assert float(logarithm.std()) == pytest.approx(1.2, rel=0.02)

    def test_log_uniform(self):
        """A quarter of the draws in each quarter of the logarithm's range."""
        sigma = LogUniform(0.02, 2.0)(40_000, gen(), LIKE)
        share = (sigma / 0.02).log() / math.log(100)
        assert torch.histc(share, 4, 0, 1).tolist() == pytest.approx([10_000] * 4, rel=0.04)

    def test_uniform(self):
        t = Uniform(0.2, 0.6)(40_000, gen(), LIKE)
        assert torch.histc(t, 4, 0.2, 0.6).tolist() == pytest.approx([10_000] * 4, rel=0.04)
        assert 0.2 <= float(t.min()) and float(t.max()) < 0.6

    def test_uniform_steps(self):
        counts = torch.bincount(UniformSteps(5)(40_000, gen(), LIKE))
        assert counts.tolist() == pytest.approx([8000] * 5, rel=0.04)

    @pytest.mark.parametrize("law", [LogitNormal(), LogNormal(), LogUniform(0.1, 1.0), Uniform(), UniformSteps(9)])
    def test_type_and_device_are_those_of_the_data(self, law):
        t = law(3, gen(), torch.empty(0, dtype=torch.float64))
        assert t.shape == (3,) and t.dtype == (torch.int64 if isinstance(law, UniformSteps) else torch.float64)
        assert law(3, gen(), torch.empty(0, device="meta")).device.type == "meta"
        assert law == eval(repr(law)) and hash(law) == hash(eval(repr(law)))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: timesteps(10, 11), "steps"),
        (lambda: timesteps(10, 3, "middle"), "spacing"),
        (lambda: timesteps(0, 1), "total"),
        (lambda: karras_sigmas(1), "steps"),
        (lambda: karras_sigmas(3, 2.0, 1.0), "high"),
        (lambda: karras_sigmas(3, rho=0.0), "rho"),
        (lambda: geometric_sigmas(0.1, 0.2, 3), "high: got 0.1"),
        (lambda: geometric_sigmas(1.0, 0.2, 1), "levels: got 1"),
        (lambda: LogUniform(0.0, 1.0), "low"),
        (lambda: LogitNormal(std=0.0), "std"),
        (lambda: LogNormal(std=-1.0), "std"),
        (lambda: Uniform(0.5, 0.5), "high"),
    ],
)
def test_bad_input(call, name):
    with rejects(name):
        call()


def test_the_levels_of_karras_et_al_are_those_of_diffusers_as_given():
    from diffusers import EDMEulerScheduler

    theirs = EDMEulerScheduler()
    theirs.set_timesteps(7)
    torch.testing.assert_close(karras_sigmas(7).float(), theirs.sigmas[:-1], rtol=1e-5, atol=0)
