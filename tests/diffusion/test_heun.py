"""Heun's method: diffusers' numbers step by step, second order on every path, evaluations."""

import math

import pytest
import torch

from companion.data.points import ring
from companion.diffusion.ddim import ddim_sample
from companion.diffusion.gaussian import gaussian_denoiser, gaussian_factor, velocity_from_score
from companion.diffusion.heun import heun_sample
from companion.diffusion.paths import RectifiedFlow, VarianceExploding, cosine_schedule
from companion.diffusion.prediction import as_denoiser
from companion.metrics.modes import mode_report
from tests.conftest import rejects
from tests.oracles import PATHS, Spy, known_data


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_every_step_equals_diffusers():
    from diffusers import HeunDiscreteScheduler

    theirs = HeunDiscreteScheduler(1000, use_karras_sigmas=True, timestep_spacing="trailing")
    theirs.set_timesteps(6)
    levels = theirs.sigmas[[0, *range(1, 12, 2)]].tolist()  # each but the first and the last stands there twice
    assert levels[-1] == 0 and len(levels) == 7

    def net(x, t):
        return torch.tanh(x / 10 + t.reshape(-1, 1, 1) / 10)

    x = levels[0] * torch.randn(2, 3, 5)
    path = VarianceExploding(levels[-2], levels[0])
    spy = Spy(as_denoiser(net, path, "epsilon"))
    ours = heun_sample(spy, path, x, levels)
    assert len(spy.x) == 11
    assert [float(t[0]) for t in spy.t] == pytest.approx(theirs.sigmas[:11].tolist())
    for t, seen, at in zip(theirs.timesteps, spy.x, spy.t, strict=True):
        theirs.scale_model_input(x, t)
        torch.testing.assert_close(seen, x, rtol=1e-4, atol=1e-4)
        x = theirs.step(net(x, at), t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


def test_printed_equation_I60():
    """``eq-heun`` on a straight path is the mean of two velocities."""
    path, x = RectifiedFlow(), torch.randn(3, 2).double()

    def velocity(x, t):
        return torch.sin(x + 2 * t[:, None])

    got = heun_sample(as_denoiser(velocity, path, "velocity"), path, x, [0.1, 0.4])
    start = velocity(x, torch.full((3,), 0.1).double())
    end = velocity(x + 0.3 * start, torch.full((3,), 0.4).double())
    torch.testing.assert_close(got, x + 0.15 * (start + end))


@pytest.mark.parametrize("std", [0.3, 2.0])
@pytest.mark.parametrize("path", [cosine_schedule(20_000), RectifiedFlow(), VarianceExploding(0.01, 20.0)])
def test_second_order_on_gaussian_data_where_euler_is_first(path, std):
    x, exact = torch.ones(1, 1).double(), gaussian_denoiser(path, std)
    errors, first = [], []
    for n in (100, 200, 400):
        times = path.times(n)[:-1]  # down to the last noise level: the step from there to the data is Euler's
        want = gaussian_factor(path, std, times[0], times[-1])
        errors.append(abs(float(heun_sample(exact, path, x, times)) - want))
        first.append(abs(float(ddim_sample(exact, path, x, times)) - want))
    assert 1.7 < math.log2(errors[0] / errors[2]) / 2 < 2.3, errors
    assert errors[2] < 0.1 * first[2]


@pytest.mark.parametrize("path", PATHS)
def test_evaluations_and_the_end(path):
    """2n - 1 calls; a known point is reached exactly, and no noise is asked for at the data."""
    x0 = torch.randn(3, 2).double()
    spy = Spy(known_data(path, x0))
    torch.testing.assert_close(heun_sample(spy, path, torch.randn(3, 2).double(), 5), x0)
    assert len(spy.t) == 9 and all(float(t[0]) != path.data for t in spy.t)


def test_the_flow_carries_noise_to_mean_plus_sd_noise():
    path, z, mean = RectifiedFlow(), torch.randn(50, 2).double(), torch.tensor([1.5, -0.5]).double()
    torch.testing.assert_close(
        heun_sample(gaussian_denoiser(path, 0.4, mean), path, z, 200), mean + 0.4 * z, atol=1e-3, rtol=0
    )


def test_exact_velocity_of_the_ring_makes_the_ring():
    law, path = ring().mixture, RectifiedFlow()

    def velocity(x, t):
        if float(t[0]) == 0:  # p_0 is the noise; the limit of the formula is the mean of the data minus x
            return -x
        at_t = law.scaled(float(t[0])).smoothed(1 - float(t[0]))
        return velocity_from_score(x, t, at_t.score(x))

    z = torch.randn(2_000, 2, generator=torch.Generator().manual_seed(0))
    report = mode_report(heun_sample(as_denoiser(velocity, path, "velocity"), path, z, 200), law.means, law.sd)
    assert report.found == 8 and report.high_quality > 0.95


def test_bad_input():
    path, exact = RectifiedFlow(), gaussian_denoiser(RectifiedFlow(), 1.0)
    with rejects("steps: got -1"):
        heun_sample(exact, path, torch.zeros(2, 1), -1)
    with rejects("x: got 2 values"):
        heun_sample(exact, path, torch.full((2, 1), math.nan), 3)
