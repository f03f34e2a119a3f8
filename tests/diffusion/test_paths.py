"""Paths: schedules against diffusers, shares of data and noise, equality, types and devices, bad input."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from companion.diffusion.paths import (
    RectifiedFlow,
    VarianceExploding,
    VariancePreserving,
    cosine_schedule,
    for_each,
    linear_schedule,
    log_ratio,
    q_sample,
    time_pairs,
)
from companion.diffusion.times import karras_sigmas
from tests.conftest import rejects
from tests.oracles import PATHS


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
        alpha, sigma = s.alpha_sigma(torch.arange(20), torch.ones(20, 1).double())
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(20, 1).double(), rtol=0, atol=1e-12)
        x = q_sample(s, torch.zeros(50_000, 1), torch.full((50_000,), 7), torch.randn(50_000, 1))
        assert float(x.var()) == pytest.approx(1 - float(s.alpha_bar[7]), rel=0.03)

    def test_adding_noise_equals_diffusers(self):
        from diffusers import DDPMScheduler

        x, noise, t = torch.randn(3, 1, 4, 5), torch.randn(3, 1, 4, 5), torch.tensor([0, 500, 999])
        want = DDPMScheduler(1000).add_noise(x, noise, t)
        torch.testing.assert_close(q_sample(linear_schedule(1000), x, t, noise), want, rtol=0, atol=1e-5)

    def test_equal_by_content_and_usable_as_a_key(self):
        """A loss is a frozen dataclass with a schedule in it: both compare and hash."""
        a, b, c = cosine_schedule(9), cosine_schedule(9), linear_schedule(9)
        assert a == b and hash(a) == hash(b) and a != c and a != cosine_schedule(8) and a != "cosine"
        assert len({a, b, c}) == 2
        assert RectifiedFlow() == RectifiedFlow() and VarianceExploding() != VarianceExploding(high=3.0)

    def test_a_change_of_the_betas_from_outside_does_not_reach_it(self):
        beta = torch.full((3,), 0.1, dtype=torch.float32)
        s = VariancePreserving(beta)
        beta[0] = 0.9
        assert float(s.beta[0]) == pytest.approx(0.1)


class TestShares:
    def test_step_minus_one_is_the_data(self):
        s = linear_schedule(5)
        alpha, sigma = s.alpha_sigma(torch.tensor([-1, 0, 4]), torch.ones(3, 2).double())
        assert (alpha[0], sigma[0]) == (1, 0)
        assert alpha[:, 0].tolist()[1:] == pytest.approx([math.sqrt(s.alpha_bar[0]), math.sqrt(s.alpha_bar[4])])

    def test_a_straight_path_runs_from_noise_to_data_each_example_at_its_own_time(self):
        z, x, t = torch.randn(4, 2, 3), torch.randn(4, 2, 3), torch.tensor([0.0, 1.0, 0.25, 0.5])
        got = q_sample(RectifiedFlow(), x, t, z)
        assert torch.equal(got[0], z[0]) and torch.equal(got[1], x[1])
        torch.testing.assert_close(got[2], 0.75 * z[2] + 0.25 * x[2])

    def test_an_exploding_path_adds_noise(self):
        x, z = torch.randn(2, 3), torch.randn(2, 3)
        t = torch.tensor([0.0, 5.0])
        torch.testing.assert_close(q_sample(VarianceExploding(), x, t, z), x + t[:, None] * z)

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    def test_the_shares_have_the_type_and_shape_of_what_they_multiply(self, path, dtype):
        like = torch.zeros(3, 2, 4, 1, dtype=dtype)
        alpha, sigma = path.alpha_sigma(for_each(path.times(5)[1], like), like)
        assert alpha.dtype == sigma.dtype == dtype and alpha.shape == sigma.shape == (3, 1, 1, 1)

    @pytest.mark.parametrize("path", PATHS)
    def test_samplers_times_run_from_noise_to_data(self, path):
        times = path.times(6)
        assert len(times) == 7 and times[-1] == path.data
        ones = torch.ones(1, 1).double()
        levels = [float(log_ratio(path, for_each(t, ones), ones)) for t in times]
        assert levels == sorted(set(levels)) and levels[-1] == math.inf and levels[0] < 0

    def test_the_log_ratio_keeps_its_digits_at_high_and_low_noise_I46(self):
        s = VariancePreserving(torch.tensor([1e-9, 0.5, 0.999999], dtype=torch.float64))
        bars = [1 - 1e-9, (1 - 1e-9) * 0.5, (1 - 1e-9) * 0.5 * 1e-6]
        got = log_ratio(s, torch.arange(3), torch.ones(3).double())
        for value, bar in zip(got, bars, strict=True):
            assert float(value) == pytest.approx(0.5 * math.log(bar / (1 - bar)), rel=1e-6)

    def test_random_times_of_each_path_are_in_its_range(self):
        g, like = torch.Generator().manual_seed(0), torch.zeros(0)
        steps = linear_schedule(4).random_times(500, g, like)
        assert steps.unique().tolist() == [0, 1, 2, 3]
        t = RectifiedFlow().random_times(5000, g, like)
        assert float(t.min()) < 0.01 and float(t.max()) > 0.99 and float(t.mean()) == pytest.approx(0.5, abs=0.02)
        assert float(VarianceExploding().random_times(5000, g, like).log().mean()) == pytest.approx(-1.2, abs=0.06)


class NoDouble(TorchDispatchMode):
    """A device without float64, as MPS: any such tensor on it is an error; the meta device plays its part."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor) and value.device.type == "meta" and value.dtype == torch.float64:
                raise TypeError("this device has no float64")
        return out


def test_float64_stays_on_the_cpu():
    s, like = cosine_schedule(10), torch.empty(2, 3, device="meta")
    with NoDouble():
        with pytest.raises(TypeError, match="no float64"):
            s.alpha_bar.to("meta")
        for table in s.alpha_sigma(torch.tensor([3, -1]), like):
            assert table.device.type == "meta" and table.dtype == torch.float32
        s.at(s.posterior_variance, torch.tensor([3, 0]), like)
        RectifiedFlow().alpha_sigma(torch.tensor([0.5, 1.0]), like)


class TestSteps:
    def test_a_number_a_list_and_a_row_for_each_example(self):
        s, x = linear_schedule(10), torch.zeros(2, 3)
        by_number = [(t.tolist(), u.tolist()) for t, u in time_pairs(s, 2, x)]
        assert by_number == [([9, 9], [4, 4]), ([4, 4], [-1, -1])]
        assert by_number == [(t.tolist(), u.tolist()) for t, u in time_pairs(s, [9, 4, -1], x)]
        rows = torch.tensor([[9, 3, -1], [5, 4, 2]])
        assert [(t.tolist(), u.tolist()) for t, u in time_pairs(s, rows, x)] == [([9, 5], [3, 4]), ([3, 4], [-1, 2])]

    def test_times_of_half_precision_data_are_exact_enough(self):
        assert for_each(0.3, torch.zeros(2, dtype=torch.bfloat16)).dtype == torch.float32
        assert for_each(3, torch.zeros(2)).dtype == torch.int64

    @pytest.mark.parametrize(
        ("path", "times"),
        [(linear_schedule(9), [5, 5, -1]), (linear_schedule(9), [3, 5]), (RectifiedFlow(), [0.5, 0.2])],
    )
    def test_away_from_the_data_is_an_error(self, path, times):
        with rejects("t, s: got"):
            list(time_pairs(path, times, torch.zeros(2, 1)))


def test_an_exploding_paths_sampler_goes_from_its_highest_level_to_its_lowest_and_then_to_the_data():
    times = VarianceExploding(0.01, 5.0).times(4)
    assert times == [*karras_sigmas(4, 0.01, 5.0).tolist(), 0.0]
    assert times[0] == pytest.approx(5.0) and times[3] == pytest.approx(0.01)


class TestBadInput:
    @pytest.mark.parametrize("beta", [[0.0, 0.1], [0.1, 1.0], [-0.1], [], [[0.1]], [math.nan]])
    def test_schedule(self, beta):
        with rejects("beta"):
            VariancePreserving(torch.tensor(beta))

    @pytest.mark.parametrize(("make", "steps"), [(linear_schedule, 1), (cosine_schedule, 0), (linear_schedule, 2.5)])
    def test_number_of_steps(self, make, steps):
        with rejects("steps"):
            make(steps)

    @pytest.mark.parametrize(
        "t", [torch.tensor([0, 5]), torch.tensor([-2, 0]), torch.tensor([0]), torch.tensor([0.0, 1.0])]
    )
    def test_steps(self, t):
        with rejects("t"):
            q_sample(linear_schedule(5), torch.zeros(2, 3), t, torch.zeros(2, 3))

    def test_a_table_of_steps_alone_has_none_for_the_data(self):
        s = linear_schedule(5)
        with rejects("t: got"):
            s.at(s.beta, torch.tensor([-1]), torch.zeros(1))

    @pytest.mark.parametrize("t", [torch.tensor([0.0, 1.1]), torch.tensor([-0.1, 0.0]), torch.tensor([0, 1])])
    def test_times(self, t):
        with rejects("t: got"):
            RectifiedFlow().alpha_sigma(t, torch.zeros(2, 3))

    def test_the_rest(self):
        x = torch.zeros(2, 3)
        with rejects("noise: got shape"):
            q_sample(RectifiedFlow(), x, torch.zeros(2), x[:1])
        with rejects("high"):
            VarianceExploding(2.0, 1.0)
        with rejects("steps"):
            RectifiedFlow().times(0)
        with rejects("times"):
            list(time_pairs(linear_schedule(5), torch.tensor([[3, 2]]), x))
