"""Diffusion: schedules and steps against diffusers, closed forms for Gaussian data and mixtures, known mistakes, bad input."""

import math

import pytest
import torch

from companion.diffusion.ddpm import (
    NoiseSchedule,
    ancestral_sample,
    bound_terms,
    cosine_schedule,
    epsilon_loss,
    linear_schedule,
    posterior,
    predict_x0,
    q_sample,
    reverse_step,
)
from tests.conftest import rejects


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def full(n: int, t: int) -> torch.Tensor:
    return torch.full((n,), t)


class GaussianData:
    """The exact denoiser where the data are N(mean, sd²) in every coordinate: E[eps | x_t] is linear in x_t."""

    def __init__(self, schedule: NoiseSchedule, mean: float, sd: float) -> None:
        self.bar, self.mean, self.sd = schedule.alpha_bar, mean, sd

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = self.bar[t].reshape(-1, *[1] * (x.ndim - 1))
        return ((1 - bar).sqrt() * (x - bar.sqrt() * self.mean) / (bar * self.sd**2 + 1 - bar)).to(x.dtype)


class TestSchedules:
    @pytest.mark.parametrize("schedule", [linear_schedule, cosine_schedule])
    def test_every_number_of_steps_ends_in_noise_I45_I46(self, schedule):
        """For all T: T steps, 0 < beta <= 0.999, alpha_bar strictly falling, and at most 1 % of the data left."""
        for steps in [*range(2, 60), 100, 250, 999, 1000, 4000]:
            s = schedule(steps)
            assert s.steps == len(s.beta) == steps
            assert (s.beta > 0).all() and (s.beta <= 0.999).all()
            assert (s.alpha_bar.diff() < 0).all() and s.alpha_bar[0] < 1
            assert 0 < s.alpha_bar[-1] < 0.01

    @pytest.mark.parametrize(
        ("ours", "name"), [(linear_schedule(1000), "linear"), (cosine_schedule(1000), "squaredcos_cap_v2")]
    )
    def test_equal_diffusers(self, ours, name):
        from diffusers import DDPMScheduler

        theirs = DDPMScheduler(1000, beta_schedule=name)
        torch.testing.assert_close(ours.beta.float(), theirs.betas, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(ours.alpha_bar.float(), theirs.alphas_cumprod, rtol=0, atol=1e-5)

    def test_signal_and_noise_share_the_variance_I43(self):
        """sqrt(alpha_bar)² + sqrt(1 - alpha_bar)² = 1: data of variance 1 keep it; zeros get variance 1 - alpha_bar."""
        s = cosine_schedule(20)
        ones, zeros = torch.ones(20, 1).double(), torch.zeros(20, 1).double()
        t = torch.arange(20)
        signal, noise = q_sample(s, ones, t, zeros), q_sample(s, zeros, t, ones)
        torch.testing.assert_close(signal**2 + noise**2, ones, rtol=0, atol=1e-12)
        x = q_sample(s, torch.zeros(50_000, 1), full(50_000, 7), torch.randn(50_000, 1))
        assert float(x.var()) == pytest.approx(1 - float(s.alpha_bar[7]), rel=0.03)

    @pytest.mark.parametrize("schedule", [linear_schedule, cosine_schedule])
    @pytest.mark.parametrize("steps", [2, 3, 50])
    def test_both_ends_are_finite_I46(self, schedule, steps):
        s = schedule(steps)
        x = ancestral_sample(GaussianData(s, 0.3, 0.5), s, torch.randn(4, 2), gen())
        assert x.isfinite().all()


class TestAgainstDiffusers:
    @pytest.mark.parametrize("clip", [None, 1.0])
    @pytest.mark.parametrize("variance", ["small", "large"])
    def test_every_step_of_a_chain_I51(self, variance, clip):
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
            torch.manual_seed(t)
            want = theirs.step(eps, t, x).prev_sample
            torch.manual_seed(t)
            got = reverse_step(s, x, t, eps, torch.randn_like(x), variance=variance, clip=clip)
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
            x = got.clamp(-3, 3)

    def test_adding_noise(self):
        from diffusers import DDPMScheduler

        x, noise, t = torch.randn(3, 1, 4, 5), torch.randn(3, 1, 4, 5), torch.tensor([0, 500, 999])
        want = DDPMScheduler(1000).add_noise(x, noise, t)
        torch.testing.assert_close(q_sample(linear_schedule(1000), x, t, noise), want, rtol=0, atol=1e-5)


class TestTruth:
    def test_printed_equations_I60(self):
        """``eq-ddpm-forward``, ``-x0`` and ``-posterior``, number by number, with the product written out."""
        s, x0, eps = cosine_schedule(7), torch.randn(7, 3).double(), torch.randn(7, 3).double()
        x_t = q_sample(s, x0, torch.arange(7), eps)
        mean, variance = posterior(s, x0, x_t, torch.arange(7))
        back = predict_x0(s, x_t, torch.arange(7), eps)
        before = 1.0
        for t in range(7):
            beta = float(s.beta[t])
            bar = before * (1 - beta)
            for j in range(3):
                x, e, y = float(x0[t, j]), float(eps[t, j]), float(x_t[t, j])
                assert y == pytest.approx(math.sqrt(bar) * x + math.sqrt(1 - bar) * e)
                assert float(back[t, j]) == pytest.approx((y - math.sqrt(1 - bar) * e) / math.sqrt(bar))
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
        """With the true eps of the moment, the last step gives x_0; an index off by one would leave noise or shrink it."""
        x0 = torch.rand(3, 1, 4, 2, dtype=torch.float64) * 2 - 1

        def oracle(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            bar = schedule.alpha_bar[t].reshape(-1, 1, 1, 1)
            return (x - bar.sqrt() * x0) / (1 - bar).sqrt()

        got = ancestral_sample(oracle, schedule, torch.randn_like(x0), gen(), variance=variance)
        torch.testing.assert_close(got, x0, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("variance", ["small", "large"])
    def test_variance_of_samples_in_closed_form(self, variance):
        """Gaussian data: each step back is linear, so the samples' variance follows a recursion, without the last noise."""
        s = linear_schedule(30)
        sd = 0.4
        x = ancestral_sample(GaussianData(s, 0.0, sd), s, torch.randn(60_000, 1), gen(), variance=variance)
        want = 1.0
        for t in reversed(range(30)):
            bar, before, beta = float(s.alpha_bar[t]), float(s.alpha_bar_before[t]), float(s.beta[t])
            of_x = math.sqrt(bar) * sd**2 / (bar * sd**2 + 1 - bar)  # E[x_0 | x_t] / x_t
            slope = math.sqrt(before) * beta / (1 - bar) * of_x + math.sqrt(1 - beta) * (1 - before) / (1 - bar)
            added = 0.0 if t == 0 else beta if variance == "large" else beta * (1 - before) / (1 - bar)
            want = slope**2 * want + added
        assert float(x.var()) == pytest.approx(want, rel=0.03)

    def test_a_mixture_with_its_exact_score(self):
        """Three well separated Gaussians: the samples' quantiles are the mixture's, better with more steps."""
        means, weights, sd = torch.tensor([-0.8, 0.1, 0.9]).double(), torch.tensor([0.5, 0.2, 0.3]).double(), 0.08
        true = means[torch.multinomial(weights, 20_000, replacement=True, generator=gen(1))]
        true = (true + sd * torch.randn(20_000, generator=gen(2), dtype=torch.float64)).sort()[0]
        distances = []
        for steps in (8, 200):
            s = cosine_schedule(steps)

            def exact(x: torch.Tensor, t: torch.Tensor, s: NoiseSchedule = s) -> torch.Tensor:
                bar = s.alpha_bar[t][:, None]
                var = bar * sd**2 + 1 - bar
                share = (weights.log() - (x - bar.sqrt() * means) ** 2 / (2 * var)).softmax(1)
                return (share * (1 - bar).sqrt() * (x - bar.sqrt() * means) / var).sum(1, keepdim=True)

            x = ancestral_sample(exact, s, torch.randn(20_000, 1, dtype=torch.float64, generator=gen(3)), gen(4))
            distances.append(float((x[:, 0].sort()[0] - true).abs().mean()))
        assert distances[1] < 0.02 < 0.025 < distances[0]

    def test_mean_of_the_paper_and_ours_agree_without_clipping_I53(self):
        """The paper writes the mean with eps, we with the predicted x_0; only clipping x_0 makes a difference."""
        s, x, eps = linear_schedule(1000), torch.randn(4, 3).double(), torch.randn(4, 3).double()
        for t in (1, 10, 500, 999):
            beta, bar = s.beta[t], s.alpha_bar[t]
            papers = (x - beta / (1 - bar).sqrt() * eps) / (1 - beta).sqrt()
            ours = reverse_step(s, x, t, eps, torch.zeros_like(x))
            torch.testing.assert_close(ours, papers, rtol=0, atol=1e-6)
        clipped = reverse_step(s, x, 999, eps, torch.zeros_like(x), clip=1.0)
        assert (clipped - ours).abs().max() > 0.01


class TestBound:
    def test_of_standard_normal_data_it_is_the_entropy(self):
        """The large variance is the true reverse there, so the bound is tight: the sum is the data's entropy."""
        s, x0 = linear_schedule(12), torch.randn(40_000, 2, dtype=torch.float64, generator=gen(7))
        terms = bound_terms(GaussianData(s, 0.0, 1.0), s, x0, gen())
        assert terms.shape == (13, 40_000)
        assert float(terms.sum(0).mean()) == pytest.approx(2 * 0.5 * math.log(2 * math.pi * math.e), abs=0.03)

    @pytest.mark.parametrize("variance", ["small", "large"])
    def test_term_by_term_for_gaussian_data_I62_I52(self, variance):
        """Each term of a linear-Gaussian chain against its closed form; the terms differ over t, so an order mixed up or a
        step that stands still shows."""
        s, sd, n = cosine_schedule(9), 0.5, 100_000
        x0 = sd * torch.randn(n, 1, dtype=torch.float64, generator=gen(1))
        got = bound_terms(GaussianData(s, 0.0, sd), s, x0, gen(2), variance=variance).mean(1)
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
        nll = 0.5 * math.log(2 * math.pi * math.e * sd**2)
        assert float(got.sum()) > nll  # a bound

    def test_variances_are_those_of_the_sampler_I52(self):
        """exp(log variance) is the variance: the spread of one step back, measured."""
        s = linear_schedule(10)
        for choice in ("small", "large"):
            x = torch.zeros(50_000, 1)
            stepped = reverse_step(s, x, 4, torch.zeros_like(x), torch.randn_like(x), variance=choice)
            assert float(stepped.var()) == pytest.approx(float(s.reverse_variance(choice)[4]), rel=0.03)


class TestLoss:
    def test_least_value_is_that_of_the_exact_denoiser(self):
        """For Gaussian data the error that no network can avoid is known: 1 - (1 - bar) / (bar sd² + 1 - bar), mean over t."""
        s, sd = cosine_schedule(50), 0.5
        x0 = sd * torch.randn(200_000, 1, generator=gen(1))
        floor = float((1 - (1 - s.alpha_bar) / (s.alpha_bar * sd**2 + 1 - s.alpha_bar)).mean())
        assert float(epsilon_loss(GaussianData(s, 0.0, sd), s, x0, gen())) == pytest.approx(floor, abs=0.005)
        assert float(epsilon_loss(lambda x, t: torch.zeros_like(x), s, x0, gen())) == pytest.approx(1.0, abs=0.01)

    def test_all_steps_are_drawn(self):
        seen: list[torch.Tensor] = []

        def spy(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            seen.append(t)
            return x

        epsilon_loss(spy, linear_schedule(5), torch.zeros(500, 1), gen())
        assert seen[0].unique().tolist() == [0, 1, 2, 3, 4]

    def test_it_learns_two_points(self):
        """A small network beats the best guess that ignores x_t (loss 1) by far, and its samples fall near the points."""
        from companion.nn.point_mlp import TimedPointMLP
        from companion.training import TrainConfig, train

        s, points = cosine_schedule(40), torch.tensor([[-0.8, 0.5], [0.8, -0.5]]).repeat(200, 1)
        net = TimedPointMLP(2, 2, width=64)

        def loss(model: torch.nn.Module, batch: tuple[torch.Tensor, ...], generator: torch.Generator) -> torch.Tensor:
            return epsilon_loss(lambda x, t: model(x, t / 40), s, batch[0], generator)

        result = train(net, loss, (points,), TrainConfig(steps=600, batch_size=128, lr=3e-3))
        x = ancestral_sample(lambda x, t: result.model(x, t / 40), s, torch.randn(300, 2), gen(), clip=1.0)
        near = torch.cdist(x, points[:2]).min(1)
        assert float(near.values.median()) < 0.15
        assert 90 < int((near.indices == 0).sum()) < 210


class TestLastStep:
    def test_no_noise_at_the_last_step_I51_I61(self):
        """Step 0 is deterministic and uses no noise, every other step uses it."""
        s, x, eps = linear_schedule(6), torch.randn(2, 3), torch.randn(2, 3)
        for t in range(6):
            a, b = (reverse_step(s, x, t, eps, torch.full_like(x, v), variance="large") for v in (0.0, 5.0))
            assert torch.equal(a, b) == (t == 0)

    def test_the_seed_decides(self):
        s = linear_schedule(6)
        x, net = torch.randn(2, 3), GaussianData(s, 0.0, 1.0)
        same = [ancestral_sample(net, s, x, gen(k)) for k in (1, 1, 2)]
        assert torch.equal(same[0], same[1]) and not torch.equal(same[0], same[2])


class TestBadInput:
    @pytest.mark.parametrize("beta", [[0.0, 0.1], [0.1, 1.0], [-0.1], [], [[0.1]], [math.nan]])
    def test_schedule(self, beta):
        with rejects("beta"):
            NoiseSchedule(torch.tensor(beta))

    @pytest.mark.parametrize(("make", "steps"), [(linear_schedule, 1), (cosine_schedule, 0), (linear_schedule, 2.5)])
    def test_number_of_steps(self, make, steps):
        with rejects("steps"):
            make(steps)

    @pytest.mark.parametrize(
        "t", [torch.tensor([0, 5]), torch.tensor([-1, 0]), torch.tensor([0]), torch.tensor([0.0, 1.0])]
    )
    def test_steps(self, t):
        with rejects("t"):
            q_sample(linear_schedule(5), torch.zeros(2, 3), t, torch.zeros(2, 3))

    def test_shapes(self):
        s, t = linear_schedule(5), torch.tensor([0, 1])
        for call in (q_sample, predict_x0):
            with rejects("shape"):
                call(s, torch.zeros(2, 3), t, torch.zeros(2, 1))
        with rejects("shape"):
            posterior(s, torch.zeros(2, 3), torch.zeros(2, 1), t)
        with rejects("prediction"):
            epsilon_loss(lambda x, t: x[:, :1], s, torch.zeros(2, 3), gen())

    def test_variance_and_clip(self):
        s, x = linear_schedule(5), torch.zeros(2, 3)
        with rejects("variance"):
            ancestral_sample(lambda x, t: x, s, x, gen(), variance="tiny")
        with rejects("clip"):
            ancestral_sample(lambda x, t: x, s, x, gen(), clip=0.0)
