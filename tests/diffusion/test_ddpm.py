"""Ancestral sampling: parity with diffusers, the chain's marginals at every step in closed form, known mistakes, bad input."""

import math

import pytest
import torch

from companion.diffusion.ddpm import ancestral_sample, posterior, reverse_step
from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.paths import VariancePreserving, cosine_schedule, linear_schedule, q_sample
from companion.diffusion.prediction import Prediction, as_denoiser, to_prediction
from tests.conftest import rejects
from tests.oracles import Spy, known_data


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def full(n: int, t: int) -> torch.Tensor:
    return torch.full((n,), t)


class TestParity:
    @pytest.mark.parametrize("clip", [None, 1.0])
    @pytest.mark.parametrize("variance", ["small", "large"])
    def test_every_step_equals_diffusers_I51(self, variance, clip):
        """Both variances have names; with the same noise each step agrees, from t = T - 1 to 0.

        diffusers keeps its tables in float32, where 1 - alpha_bar = 0.0001 has three good digits; here it gets ours.
        """
        from diffusers import DDPMScheduler

        theirs = DDPMScheduler(
            1000, variance_type=f"fixed_{variance}", clip_sample=clip is not None, clip_sample_range=clip or 1.0
        )
        s, x = linear_schedule(1000), torch.randn(2, 1, 3, 5).double()
        theirs.betas, theirs.alphas, theirs.alphas_cumprod = s.beta, 1 - s.beta, s.alpha_bar
        for t in [999, 998, 700, 300, 50, 2, 1, 0]:
            eps = 0.9 * x + 0.1 * torch.randn_like(x)
            prediction = as_denoiser(lambda x, t, eps=eps: eps, s, "epsilon", clip)(x, full(2, t))
            torch.manual_seed(t)
            want = theirs.step(eps, t, x).prev_sample
            torch.manual_seed(t)
            got = reverse_step(s, x, prediction, t, torch.randn_like(x), variance=variance)
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
            x = got.clamp(-3, 3)


class TestMarginals:
    """What the chain looks like *inside*. Its end says little: at t = 0 the posterior returns the prediction, whatever came
    before. With these data the reverse step is exact, so that x_t must follow q(x_t) at every t."""

    def chain(self, s, denoiser, variance, n=40_000):
        spy = Spy(denoiser)
        ancestral_sample(spy, s, torch.randn(n, 1, generator=gen(1)), gen(2), variance=variance)
        return {int(t[0]): x for x, t in zip(spy.x, spy.t, strict=True)}

    @pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
    def test_one_known_point_with_the_small_variance(self, make):
        s, point = make(24), torch.tensor([0.8])
        inside = self.chain(s, known_data(s, point), "small")
        for t in (20, 15, 10, 6, 3, 1, 0):
            bar = float(s.alpha_bar[t])
            assert float(inside[t].mean()) == pytest.approx(math.sqrt(bar) * 0.8, abs=0.015), t
            assert float(inside[t].var()) == pytest.approx(1 - bar, rel=0.04), t

    @pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
    def test_standard_normal_data_with_the_large_variance(self, make):
        s = make(24)
        inside = self.chain(s, gaussian_denoiser(s, 1.0), "large")
        for t in (20, 15, 10, 6, 3, 1, 0):
            assert float(inside[t].var()) == pytest.approx(1, rel=0.04), t

    @pytest.mark.parametrize("variance", ["small", "large"])
    def test_other_gaussian_data_by_a_recursion(self, variance):
        """The slope of a step by conditioning a joint Gaussian, not by the posterior's formula."""
        s, sd = linear_schedule(30), 0.4
        inside = self.chain(s, gaussian_denoiser(s, sd), variance)
        want = 1.0
        for t in reversed(range(1, 30)):
            bar, before, alpha = float(s.alpha_bar[t]), float(s.alpha_bar[t - 1]), 1 - float(s.beta[t])
            spread = bar * sd**2 + 1 - bar
            slope = math.sqrt(alpha) * (before * sd**2 + 1 - before) / spread  # cov(x_{t-1}, x_t) / var(x_t)
            added = (1 - alpha) * (1 - before) / (1 - bar) if variance == "small" else 1 - alpha
            want = slope**2 * want + added
            assert float(inside[t - 1].var()) == pytest.approx(want, rel=0.04), t


class TestTruth:
    def test_printed_equations_I60(self):
        """``eq-ddpm-posterior``, number by number, with the product written out."""
        s, x0, eps = cosine_schedule(7), torch.randn(7, 3).double(), torch.randn(7, 3).double()
        x_t = q_sample(s, x0, torch.arange(7), eps)
        mean, variance = posterior(s, x0, x_t, torch.arange(7))
        before = 1.0
        for t in range(7):
            beta = float(s.beta[t])
            bar = before * (1 - beta)
            for j in range(3):
                x, y = float(x0[t, j]), float(x_t[t, j])
                want = math.sqrt(before) * beta / (1 - bar) * x + math.sqrt(1 - beta) * (1 - before) / (1 - bar) * y
                assert float(mean[t, j]) == pytest.approx(want)
            assert float(variance[t]) == pytest.approx((1 - before) / (1 - bar) * beta, abs=1e-15)
            before = bar

    def test_posterior_by_conditioning(self):
        """From the joint law of (x_{t-1}, x_t) given x_0, by the rule for conditional Gaussians."""
        s, x0, x_t = linear_schedule(10), torch.tensor([[0.7]]).double(), torch.tensor([[-0.2]]).double()
        for t in range(1, 10):
            before, alpha = s.alpha_bar[t - 1], 1 - s.beta[t]
            gain = alpha.sqrt() * (1 - before) / (alpha * (1 - before) + s.beta[t])
            want = before.sqrt() * x0 + gain * (x_t - alpha.sqrt() * before.sqrt() * x0)
            mean, variance = posterior(s, x0, x_t, full(1, t))
            torch.testing.assert_close(mean, want, rtol=0, atol=1e-12)
            torch.testing.assert_close(variance.squeeze(), (1 - before) * (1 - gain * alpha.sqrt()), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("schedule", [linear_schedule(1000), cosine_schedule(17), cosine_schedule(1)])
    @pytest.mark.parametrize("variance", ["small", "large"])
    def test_an_oracle_returns_the_data_exactly_I49(self, schedule, variance):
        x0 = torch.rand(3, 1, 4, 2, dtype=torch.float64) * 2 - 1
        oracle = known_data(schedule, x0)
        got = ancestral_sample(oracle, schedule, torch.randn_like(x0), gen(), variance=variance)
        torch.testing.assert_close(got, x0, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("schedule", [linear_schedule, cosine_schedule])
    @pytest.mark.parametrize("steps", [2, 3, 50])
    def test_both_ends_are_finite_I46(self, schedule, steps):
        s = schedule(steps)
        assert ancestral_sample(gaussian_denoiser(s, 0.5, 0.3), s, torch.randn(4, 2), gen()).isfinite().all()

    def test_a_mixture_with_its_exact_score(self):
        """Three well separated Gaussians: the samples' quantiles are the mixture's, better with more steps."""
        means, weights, sd = torch.tensor([-0.8, 0.1, 0.9]).double(), torch.tensor([0.5, 0.2, 0.3]).double(), 0.08
        true = means[torch.multinomial(weights, 20_000, replacement=True, generator=gen(1))]
        true = (true + sd * torch.randn(20_000, generator=gen(2), dtype=torch.float64)).sort()[0]
        distances = []
        for steps in (8, 200):
            s = cosine_schedule(steps)

            def exact(x: torch.Tensor, t: torch.Tensor, s: VariancePreserving = s) -> torch.Tensor:
                bar = s.alpha_bar[t][:, None]
                var = bar * sd**2 + 1 - bar
                share = (weights.log() - (x - bar.sqrt() * means) ** 2 / (2 * var)).softmax(1)
                return (share * (1 - bar).sqrt() * (x - bar.sqrt() * means) / var).sum(1, keepdim=True)

            start = torch.randn(20_000, 1, dtype=torch.float64, generator=gen(3))
            x = ancestral_sample(as_denoiser(exact, s, "epsilon"), s, start, gen(4))
            distances.append(float((x[:, 0].sort()[0] - true).abs().mean()))
        assert distances[1] < 0.02 < 0.025 < distances[0]

    def test_mean_of_the_paper_and_ours_agree_without_clipping_I53(self):
        """The paper writes the mean with eps, we with the predicted x_0; only clipping x_0 makes a difference."""
        s, x, eps = linear_schedule(1000), torch.randn(4, 3).double(), torch.randn(4, 3).double()
        for t in (1, 10, 500, 999):
            beta, bar = s.beta[t], s.alpha_bar[t]
            papers = (x - beta / (1 - bar).sqrt() * eps) / (1 - beta).sqrt()
            prediction = to_prediction(s, "epsilon", x, full(4, t), eps)
            ours = reverse_step(s, x, prediction, t, torch.zeros_like(x))
            torch.testing.assert_close(ours, papers, rtol=0, atol=1e-6)
        clipped = Prediction(prediction.x0.clamp(-1, 1), eps)
        assert (reverse_step(s, x, clipped, 999, torch.zeros_like(x)) - ours).abs().max() > 0.01


class TestNoise:
    def test_none_at_the_last_step_I51_I61(self):
        """Step 0 is deterministic and uses no noise, every other step uses it."""
        s, x = linear_schedule(6), torch.randn(2, 3)
        prediction = Prediction(torch.randn(2, 3), torch.randn(2, 3))
        for t in range(6):
            a, b = (reverse_step(s, x, prediction, t, torch.full_like(x, v), variance="large") for v in (0.0, 5.0))
            assert torch.equal(a, b) == (t == 0)

    @pytest.mark.parametrize("choice", ["small", "large"])
    def test_its_variance_is_the_chosen_one_I52(self, choice):
        s, x = linear_schedule(10), torch.zeros(50_000, 1)
        stepped = reverse_step(s, x, Prediction(x, x), 4, torch.randn_like(x), variance=choice)
        bar, before, beta = (float(v[4]) for v in (s.alpha_bar, s.alpha_bar_before, s.beta))
        want = beta if choice == "large" else beta * (1 - before) / (1 - bar)
        assert float(stepped.var()) == pytest.approx(want, rel=0.03)

    def test_the_seed_decides(self):
        s = linear_schedule(6)
        x, net = torch.randn(2, 3), gaussian_denoiser(s, 1.0)
        same = [ancestral_sample(net, s, x, gen(k)) for k in (1, 1, 2)]
        assert torch.equal(same[0], same[1]) and not torch.equal(same[0], same[2])


def test_bad_input():
    s, x = linear_schedule(5), torch.zeros(2, 3)
    with rejects("shape"):
        posterior(s, x, torch.zeros(2, 1), torch.tensor([0, 1]))
    with rejects("variance"):
        ancestral_sample(gaussian_denoiser(s, 1.0), s, x, gen(), variance="tiny")
    with rejects("x: got"):
        ancestral_sample(gaussian_denoiser(s, 1.0), s, x * math.nan, gen())
    with rejects("t: got"):
        reverse_step(s, x, Prediction(x, x), 5, x)
