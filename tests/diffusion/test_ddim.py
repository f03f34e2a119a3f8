"""DDIM: parity with diffusers step by step, the ancestral sampler as its special case, oracles, strides, bad input."""

import math

import pytest
import torch

from companion.diffusion.ddim import ddim_sample, ddim_step, strided
from companion.diffusion.ddpm import NoiseSchedule, cosine_schedule, linear_schedule, reverse_step
from tests.conftest import rejects


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Gaussian:
    """The exact denoiser for data that are N(0, sd²)."""

    def __init__(self, s: NoiseSchedule, sd: float) -> None:
        self.s, self.sd = s, sd

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = self.s.alpha_bar[t].reshape(-1, *[1] * (x.ndim - 1))
        return ((1 - bar).sqrt() * x / (bar * self.sd**2 + 1 - bar)).to(x.dtype)


class TestParity:
    @pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
    @pytest.mark.parametrize("clip", [None, 1.0])
    def test_every_step_equals_diffusers(self, eta, clip):
        """Stride 50 of 1000, the same noise in both; diffusers gets our float64 tables (its own are float32)."""
        from diffusers import DDIMScheduler

        s = linear_schedule(1000)
        theirs = DDIMScheduler(1000, timestep_spacing="trailing", clip_sample=clip is not None)
        theirs.alphas_cumprod, theirs.final_alpha_cumprod = s.alpha_bar, torch.tensor(1.0).double()
        theirs.set_timesteps(20)
        assert theirs.timesteps.tolist() == strided(1000, 20)
        x = torch.randn(2, 1, 3, 5).double()
        path = [*strided(1000, 20), -1]
        for t, before in zip(path[:-1], path[1:], strict=True):
            eps, noise = 0.9 * x + 0.1 * torch.randn_like(x), torch.randn_like(x)
            want = theirs.step(eps, t, x, eta=eta, use_clipped_model_output=True, variance_noise=noise).prev_sample
            got = ddim_step(s, x, t, before, eps, noise, eta=eta, clip=clip)
            torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-7)
            x = got.clamp(-3, 3)


class TestTruth:
    def test_printed_equations_I60(self):
        """``eq-ddim-step`` and ``eq-ddim-sigma``, number by number."""
        s, eta = cosine_schedule(30), 0.7
        x, eps, z = (torch.randn(1, 1).double() for _ in range(3))
        for t, before in [(29, 20), (20, 3), (3, 0), (0, -1)]:
            bar_t, bar_s = float(s.alpha_bar[t]), float(s.alpha_bar[before]) if before >= 0 else 1.0
            x0 = (x.item() - math.sqrt(1 - bar_t) * eps.item()) / math.sqrt(bar_t)
            variance = eta**2 * (1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s)
            want = math.sqrt(bar_s) * x0 + math.sqrt(1 - bar_s - variance) * eps.item() + math.sqrt(variance) * z.item()
            assert ddim_step(s, x, t, before, eps, z, eta=eta).item() == pytest.approx(want)

    def test_eta_one_is_the_ancestral_sampler_I50(self):
        """At stride 1 the variance is that of the posterior, at every step: nothing is clamped to zero."""
        s = linear_schedule(40)
        x, eps, z = (torch.randn(3, 2).double() for _ in range(3))
        for t in range(40):
            got = ddim_step(s, x, t, t - 1, eps, z, eta=1.0)
            torch.testing.assert_close(got, reverse_step(s, x, t, eps, z), rtol=0, atol=1e-9)
            noise = got - ddim_step(s, x, t, t - 1, eps, torch.zeros_like(z), eta=1.0)
            assert bool((noise.abs() > 0).all()) == (t > 0)

    @pytest.mark.parametrize("steps", [1, 2, 7, 10, 13, 40])
    @pytest.mark.parametrize("eta", [0.0, 1.0])
    def test_an_oracle_returns_the_data_exactly_I49(self, steps, eta):
        """For every stride, also steps = T and those that do not divide it."""
        s, x0 = linear_schedule(40), torch.rand(3, 4).double() * 2 - 1

        def oracle(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            bar = s.alpha_bar[t][:, None]
            return (x - bar.sqrt() * x0) / (1 - bar).sqrt()

        got = ddim_sample(oracle, s, torch.randn_like(x0), steps, gen(), eta=eta)
        torch.testing.assert_close(got, x0, rtol=0, atol=1e-9)

    def test_the_gaussian_flow_is_a_scaling(self):
        """With the exact denoiser of N(0, sd²), many steps carry x to sd · x; the error falls as the steps rise."""
        s = cosine_schedule(1000)
        x = torch.randn(50, 1).double()
        errors = [float((ddim_sample(Gaussian(s, 0.3), s, x, n) - 0.3 * x).abs().max()) for n in (10, 100, 1000)]
        assert errors[2] < 0.01 and errors[2] < errors[1] / 3 < errors[0] / 9

    def test_no_noise_without_eta(self):
        s, x = linear_schedule(20), torch.randn(4, 2)
        assert torch.equal(ddim_sample(Gaussian(s, 0.5), s, x, 5), ddim_sample(Gaussian(s, 0.5), s, x, 5))
        a, b = (ddim_sample(Gaussian(s, 0.5), s, x, 5, gen(k), eta=1.0) for k in (0, 1))
        assert not torch.equal(a, b)


@pytest.mark.parametrize(("total", "steps"), [(1000, 20), (1000, 1000), (1000, 7), (5, 3), (1, 1)])
def test_strides(total, steps):
    """So many, falling, from the noisiest, none twice, all in range."""
    got = strided(total, steps)
    assert len(set(got)) == steps and got[0] == total - 1 and got == sorted(got, reverse=True) and got[-1] >= 0


def test_bad_input():
    s, x = linear_schedule(10), torch.zeros(2, 3)
    for t, before, name in [(10, 3, "t"), (3, 3, "s"), (3, -2, "s")]:
        with rejects(name):
            ddim_step(s, x, t, before, x)
    with rejects("eta"):
        ddim_step(s, x, 3, 2, x, x, eta=1.5)
    with rejects("noise"):
        ddim_step(s, x, 3, 2, x, eta=0.5)
    with rejects("generator"):
        ddim_sample(lambda x, t: x, s, x, 3, eta=0.5)
    with rejects("steps"):
        ddim_sample(lambda x, t: x, s, x, 11)
