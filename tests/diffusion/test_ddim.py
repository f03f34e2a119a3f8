"""DDIM: parity with diffusers on three sorts of path, the ancestral sampler and Euler's method as special cases."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from companion.diffusion.ddim import ddim_sample, ddim_step
from companion.diffusion.ddpm import reverse_step
from companion.diffusion.gaussian import gaussian_denoiser, gaussian_factor
from companion.diffusion.paths import (
    RectifiedFlow,
    VarianceExploding,
    cosine_schedule,
    for_each,
    linear_schedule,
    log_ratio,
)
from companion.diffusion.prediction import Prediction, as_denoiser, to_prediction
from companion.diffusion.times import SPACINGS, timesteps
from tests.conftest import gen, rejects
from tests.oracles import PATHS, Spy, known_data


def made_up(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A network whose output depends on the point and the time of each example."""
    return torch.tanh(x + t.to(x).reshape(-1, *[1] * (x.ndim - 1)))


class TestParity:
    @pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
    @pytest.mark.parametrize("clip", [None, 1.0])
    @pytest.mark.parametrize("spacing", ["trailing", "leading"])
    def test_every_step_equals_diffusers(self, eta, clip, spacing):
        """Stride 50 of 1000, the same noise in both; diffusers gets our float64 tables (its own are float32)."""
        from diffusers import DDIMScheduler

        s = linear_schedule(1000)
        theirs = DDIMScheduler(1000, timestep_spacing=spacing, clip_sample=clip is not None)
        theirs.alphas_cumprod, theirs.final_alpha_cumprod = s.alpha_bar, torch.tensor(1.0).double()
        theirs.set_timesteps(20)
        x, times = torch.randn(2, 1, 3, 5).double(), [*timesteps(1000, 20, spacing), -1]
        for t, before in zip(times[:-1], times[1:], strict=True):
            eps, noise = 0.9 * x + 0.1 * torch.randn_like(x), torch.randn_like(x)
            want = theirs.step(eps, t, x, eta=eta, use_clipped_model_output=True, variance_noise=noise).prev_sample
            denoiser = as_denoiser(lambda x, t, eps=eps: eps, s, "epsilon", clip)
            got = ddim_step(s, denoiser(x, torch.tensor([t, t])), t, before, noise, eta=eta)
            torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-7)
            x = got.clamp(-3, 3)

    @pytest.mark.parametrize("steps", [1, 4, 9])
    def test_on_a_straight_path_it_is_diffusers_flow_matching_euler(self, steps):
        """Their time is the noise's share, ours the data's, and their velocity points the other way."""
        from diffusers import FlowMatchEulerDiscreteScheduler

        theirs = FlowMatchEulerDiscreteScheduler(1000)
        theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
        x = torch.randn(2, 3, 5)
        ours = ddim_sample(as_denoiser(made_up, RectifiedFlow(), "velocity"), RectifiedFlow(), x, steps)
        for t, sigma in zip(theirs.timesteps, theirs.sigmas, strict=False):
            velocity = made_up(x, (1 - sigma).expand(2))
            x = theirs.step(-velocity, t, x).prev_sample
        torch.testing.assert_close(ours, x, rtol=0, atol=1e-5)

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    def test_on_an_exploding_path_it_is_diffusers_euler(self):
        from diffusers import EulerDiscreteScheduler

        theirs = EulerDiscreteScheduler(1000, use_karras_sigmas=True, timestep_spacing="trailing")
        theirs.set_timesteps(8)
        sigmas = theirs.sigmas.tolist()
        assert sigmas[-1] == 0
        x = sigmas[0] * torch.randn(2, 3, 5)
        path = VarianceExploding(sigmas[-2], sigmas[0])
        ours = ddim_sample(as_denoiser(lambda x, t: made_up(x / 10, t / 10), path, "epsilon"), path, x, 8)
        for t, sigma in zip(theirs.timesteps, sigmas, strict=False):
            theirs.scale_model_input(x, t)
            x = theirs.step(made_up(x / 10, torch.full((2,), sigma / 10)), t, x).prev_sample
        torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


class TestTruth:
    def test_printed_equations_I60(self):
        """``eq-ddim-step`` and ``eq-ddim-sigma``, and the paper's form for a preserved variance, number by number."""
        s, eta = cosine_schedule(30), 0.7
        x, eps, z = (torch.randn(1, 1).double() for _ in range(3))
        for t, before in [(29, 20), (20, 3), (3, 0), (0, -1)]:
            bar_t, bar_s = float(s.alpha_bar[t]), float(s.alpha_bar[before]) if before >= 0 else 1.0
            x0 = (x.item() - math.sqrt(1 - bar_t) * eps.item()) / math.sqrt(bar_t)
            variance = eta**2 * (1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s)
            want = math.sqrt(bar_s) * x0 + math.sqrt(1 - bar_s - variance) * eps.item() + math.sqrt(variance) * z.item()
            prediction = to_prediction(s, "epsilon", x, torch.tensor([t]), eps)
            assert ddim_step(s, prediction, t, before, z, eta=eta).item() == pytest.approx(want)

    @pytest.mark.parametrize("path", PATHS)
    def test_it_is_eulers_step_of_the_paths_equation(self, path):
        """eq-path-ode: dx = x0 dα + eps dσ, with finite differences; on a straight path x + (s - t) · velocity."""
        x, out = torch.randn(3, 2).double(), torch.randn(3, 2).double()
        t, s = path.times(6)[1:3]
        prediction = to_prediction(path, "v", x, for_each(t, x), out)
        (a_t, o_t), (a_s, o_s) = path.alpha_sigma(for_each(t, x), x), path.alpha_sigma(for_each(s, x), x)
        euler = x + (a_s - a_t) * prediction.x0 + (o_s - o_t) * prediction.eps
        torch.testing.assert_close(ddim_step(path, prediction, t, s), euler, rtol=0, atol=1e-8)
        if isinstance(path, RectifiedFlow):
            torch.testing.assert_close(euler, x + (s - t) * prediction.velocity)

    def test_eta_one_is_the_ancestral_sampler_I50(self):
        """At stride 1 the variance is that of the posterior, at every step: nothing is clamped to zero."""
        s = linear_schedule(40)
        x, eps, z = (torch.randn(3, 2).double() for _ in range(3))
        for t in range(40):
            prediction = to_prediction(s, "epsilon", x, torch.full((3,), t), eps)
            got = ddim_step(s, prediction, t, t - 1, z, eta=1.0)
            torch.testing.assert_close(got, reverse_step(s, x, prediction, t, z), rtol=0, atol=1e-9)
            noise = got - ddim_step(s, prediction, t, t - 1, torch.zeros_like(z), eta=1.0)
            assert bool((noise.abs() > 0).all()) == (t > 0)

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
    def test_of_one_known_point_the_marginals_inside_are_right(self, path, eta):
        """x_t - α x0 has spread σ at every time, whatever the fresh noise."""
        point, times = torch.tensor([0.8]).double(), path.times(12)
        spy = Spy(known_data(path, point))
        start = path.alpha_sigma(for_each(times[0], point), point)
        x = start[0] * point + start[1] * torch.randn(20_000, 1, generator=gen(3)).double()
        ddim_sample(spy, path, x, times, gen(1), eta=eta)
        for x, t in list(zip(spy.x, spy.t, strict=True))[1:]:
            alpha, sigma = (float(v[0]) for v in path.alpha_sigma(t, x))
            assert float(x.std()) == pytest.approx(sigma, rel=0.03)
            assert float(x.mean()) == pytest.approx(alpha * 0.8, abs=0.03 * sigma)

    @pytest.mark.parametrize("steps", [1, 2, 7, 10, 13, 40])
    @pytest.mark.parametrize("eta", [0.0, 1.0])
    def test_an_oracle_returns_the_data_exactly_I49(self, steps, eta):
        """For every stride, also steps = T and those that do not divide it."""
        s, x0 = linear_schedule(40), torch.rand(3, 4).double() * 2 - 1
        got = ddim_sample(known_data(s, x0), s, torch.randn_like(x0), steps, gen(), eta=eta)
        torch.testing.assert_close(got, x0, rtol=0, atol=1e-9)

    @pytest.mark.parametrize("std", [0.3, 2.0])
    @pytest.mark.parametrize("path", [cosine_schedule(20_000), RectifiedFlow(), VarianceExploding(0.01, 20.0)])
    def test_first_order_on_gaussian_data(self, path, std):
        """The exact path is known; when the steps double, the error halves."""
        x, errors = torch.ones(1, 1).double(), []
        for n in (100, 200, 400):
            times = path.times(n)
            errors.append(abs(float(ddim_sample(gaussian_denoiser(path, std), path, x, n)) - gaussian_factor(
                path, std, times[0], times[-1])))  # fmt: skip
        assert 0.8 < math.log2(errors[0] / errors[2]) / 2 < 1.2, errors

    def test_straight_paths_need_one_step(self):
        """Where every point keeps one velocity (the paths after one reflow), a single step is exact."""
        path, z, mean, sd = RectifiedFlow(), torch.randn(50, 2).double(), torch.tensor([1.5, -0.5]).double(), 0.4

        def straight(x, t):
            start = (x - t[:, None] * mean) / (1 + t[:, None] * (sd - 1))  # x = z + t (mean + (sd - 1) z)
            return mean + (sd - 1) * start

        exact = gaussian_denoiser(path, sd, mean)
        torch.testing.assert_close(ddim_sample(as_denoiser(straight, path, "velocity"), path, z, 1), mean + sd * z)
        torch.testing.assert_close(ddim_sample(exact, path, z, 1), mean.expand(50, 2))  # of the exact field: the mean


class TestSampler:
    def test_no_noise_without_eta(self):
        s, x = linear_schedule(20), torch.randn(4, 2)
        exact = gaussian_denoiser(s, 0.5)
        assert torch.equal(ddim_sample(exact, s, x, 5), ddim_sample(exact, s, x, 5))
        a, b = (ddim_sample(exact, s, x, 5, gen(k), eta=1.0) for k in (0, 1))
        assert not torch.equal(a, b)

    def test_one_call_a_step_at_the_steps_that_were_asked_for(self):
        s = cosine_schedule(40)
        for times in (7, [*timesteps(40, 5, "leading"), -1], [39, 12, 3]):
            spy = Spy(gaussian_denoiser(s, 0.5))
            ddim_sample(spy, s, torch.randn(2, 3), times)
            want = timesteps(40, 7) if times == 7 else times[:-1]
            assert [int(t[0]) for t in spy.t] == want and all(t.dtype == torch.int64 for t in spy.t)

    @pytest.mark.parametrize("path", PATHS)
    def test_it_is_its_steps_in_turn_with_the_etas_noise(self, path):
        denoiser, x = gaussian_denoiser(path, 0.7), torch.randn(3, 2).double()
        got, generator = ddim_sample(denoiser, path, x, 4, gen(6), eta=0.4), gen(6)
        for t, s in pairwise(path.times(4)):
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = ddim_step(path, denoiser(x, for_each(t, x)), t, s, noise, eta=0.4)
        assert torch.equal(got, x)

    def test_a_row_of_times_for_each_example(self):
        s, x = cosine_schedule(40), torch.randn(2, 3).double()
        denoiser = as_denoiser(lambda x, t: made_up(x, t / 40), s, "v")
        rows = torch.tensor([[39, 20, 5], [10, 3, -1]])
        both = ddim_sample(denoiser, s, x, rows)
        for i in range(2):
            torch.testing.assert_close(both[i : i + 1], ddim_sample(denoiser, s, x[i : i + 1], rows[i].tolist()))

    @pytest.mark.parametrize("spacing", SPACINGS)
    def test_every_spacing_ends_in_the_data(self, spacing):
        s, x0 = linear_schedule(1000), torch.randn(2, 3).double()
        times = [*timesteps(1000, 7, spacing)]
        times = times + [-1]
        torch.testing.assert_close(ddim_sample(known_data(s, x0), s, torch.randn(2, 3).double(), times), x0)

    def test_no_graph_and_no_change_of_type(self):
        s, net = cosine_schedule(9), torch.nn.Linear(3, 3).bfloat16()
        got = ddim_sample(as_denoiser(lambda x, t: net(x), s, "v", 1.0), s, torch.randn(2, 3).bfloat16(), 4)
        assert got.dtype == torch.bfloat16 and not got.requires_grad


def test_noise_falls_along_the_times():
    """So that a time that is off by one in the middle shows: the log ratio rises from step to step."""
    for path in PATHS:
        like = torch.ones(1).double()
        levels = [float(log_ratio(path, for_each(t, like), like)) for t in path.times(9)]
        assert all(a < b for a, b in zip(levels[:-1], levels[1:], strict=True))


def test_bad_input():
    s, x = linear_schedule(10), torch.zeros(2, 3)
    prediction = Prediction(x, x)
    for t, before, name in [(10, 3, "t"), (3, 3, "t, s"), (3, -2, "t"), (3, 5, "t, s")]:
        with rejects(name):
            ddim_step(s, prediction, t, before, x, eta=0.5)
    with rejects("eta"):
        ddim_step(s, prediction, 3, 2, x, eta=1.5)
    with rejects("noise"):
        ddim_step(s, prediction, 3, 2, eta=0.5)
    with rejects("generator"):
        ddim_sample(gaussian_denoiser(s, 1.0), s, x, 3, eta=0.5)
    with rejects("steps"):
        ddim_sample(gaussian_denoiser(s, 1.0), s, x, 11)
    with rejects("x: got"):
        ddim_sample(gaussian_denoiser(s, 1.0), s, torch.full((1, 2), math.nan), 2)
