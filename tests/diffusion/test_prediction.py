"""What networks predict: equations as printed, conversions on every path, digits that are kept, parity with diffusers."""

import math

import pytest
import torch

from companion.diffusion.paths import RectifiedFlow, cosine_schedule, for_each, linear_schedule, q_sample
from companion.diffusion.prediction import KINDS, Prediction, as_denoiser, target, to_prediction
from tests.conftest import rejects
from tests.oracles import PATHS


def mixed(path, dtype=torch.float64, where=2):
    x0, noise = torch.randn(5, 1, 2, 3, dtype=dtype), torch.randn(5, 1, 2, 3, dtype=dtype)
    t = for_each(path.times(5)[where], x0)
    return x0, noise, t, q_sample(path, x0, t, noise)


class TestTruth:
    def test_printed_equations_I60(self):
        """Each conversion, number by number in float64, at steps of their own for every example."""
        s = cosine_schedule(20)
        x0, noise, t = torch.randn(5, 2).double(), torch.randn(5, 2).double(), torch.tensor([0, 3, 9, 18, 19])
        x_t, out = q_sample(s, x0, t, noise), torch.randn(5, 2).double()
        got = {kind: to_prediction(s, kind, x_t, t, out) for kind in KINDS}
        v = target(s, "v", x0, noise, t)
        for i in range(5):
            bar = float(s.alpha_bar[t[i]])
            a, b = math.sqrt(bar), math.sqrt(1 - bar)
            x, e, y, o = (float(z[i, 1]) for z in (x0, noise, x_t, out))
            assert y == pytest.approx(a * x + b * e)
            assert float(v[i, 1]) == pytest.approx(a * e - b * x)
            want = {
                "epsilon": ((y - b * o) / a, o),
                "x0": (o, (y - a * o) / b),
                "v": (a * y - b * o, b * y + a * o),
                "velocity": ((y + b * o) / (a + b), (y - a * o) / (a + b)),
            }
            for kind, pair in want.items():
                assert (float(got[kind].x0[i, 1]), float(got[kind].eps[i, 1])) == pytest.approx(pair)

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_right_answer_gives_data_and_noise_back(self, path, kind):
        x0, noise, t, x_t = mixed(path)
        got = to_prediction(path, kind, x_t, t, target(path, kind, x0, noise, t))
        torch.testing.assert_close(got.x0, x0, rtol=0, atol=1e-8)
        torch.testing.assert_close(got.eps, noise, rtol=0, atol=1e-8)
        torch.testing.assert_close(got.velocity, x0 - noise, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_data_and_noise_always_explain_x_t(self, path, kind):
        """Whatever the network says, its data and its noise make x_t."""
        _, _, t, x_t = mixed(path)
        got = to_prediction(path, kind, x_t, t, torch.randn_like(x_t))
        torch.testing.assert_close(q_sample(path, got.x0, t, got.eps), x_t, rtol=0, atol=1e-8)

    def test_target_v_equals_diffusers(self):
        from diffusers import DDPMScheduler

        x0, noise, t = torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5), torch.tensor([0, 400, 999])
        want = DDPMScheduler(1000).get_velocity(x0, noise, t)
        torch.testing.assert_close(target(linear_schedule(1000), "v", x0, noise, t), want, rtol=0, atol=1e-5)

    def test_v_has_the_size_of_the_data_at_every_step(self):
        s = cosine_schedule(8)
        for t in range(8):
            steps = torch.full((20_000,), t)
            v = target(s, "v", torch.randn(20_000, 1), torch.randn(20_000, 1), steps)
            assert float(v.var()) == pytest.approx(1, abs=0.05)


class TestDigits:
    """At t = 999 of the cosine schedule 0.00005 of the data are left: what goes by way of the noise has lost them."""

    # the error of x0 where the output is right, in float32 and in bfloat16 (its own rounding is 0.004)
    BOUNDS = {torch.float32: 1e-6, torch.bfloat16: 0.03}

    @pytest.mark.parametrize("dtype", BOUNDS)
    @pytest.mark.parametrize("kind", ["x0", "v", "velocity"])
    @pytest.mark.parametrize("path", [cosine_schedule(1000), linear_schedule(1000)])
    def test_x0_comes_directly_from_the_output_at_the_noisiest_step(self, path, kind, dtype):
        x0, noise = torch.rand(4, 50).double() * 2 - 1, torch.randn(4, 50).double()
        t = torch.full((4,), 999)
        x_t = q_sample(path, x0, t, noise)
        output = target(path, kind, x0, noise, t)
        got = to_prediction(path, kind, x_t.to(dtype), t, output.to(dtype))
        direct = float((got.x0.double() - x0).abs().max())
        assert direct < self.BOUNDS[dtype]
        assert got.x0.dtype == got.eps.dtype == dtype

    @pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1e-3), (torch.bfloat16, 0.5)])
    def test_by_way_of_the_noise_it_would_be_far_off(self, dtype, least):
        """The control: x0 -> v -> eps -> x0 with the same numbers."""
        path, x0, noise = cosine_schedule(1000), torch.rand(4, 50).double() * 2 - 1, torch.randn(4, 50).double()
        t = torch.full((4,), 999)
        x_t, v = q_sample(path, x0, t, noise).to(dtype), target(path, "v", x0, noise, t).to(dtype)
        eps = to_prediction(path, "v", x_t, t, v).eps
        assert float((to_prediction(path, "epsilon", x_t, t, eps).x0.double() - x0).abs().max()) > least

    @pytest.mark.parametrize("dtype", BOUNDS)
    @pytest.mark.parametrize("kind", ["epsilon", "v", "velocity"])
    def test_eps_comes_directly_from_the_output_at_the_cleanest_step(self, kind, dtype):
        path, x0, noise = cosine_schedule(1000), torch.rand(4, 50).double() * 2 - 1, torch.randn(4, 50).double()
        t = torch.zeros(4, dtype=torch.long)
        x_t = q_sample(path, x0, t, noise)
        got = to_prediction(path, kind, x_t.to(dtype), t, target(path, kind, x0, noise, t).to(dtype))
        assert float((got.eps.double() - noise).abs().max()) < 2 * self.BOUNDS[dtype]

    def test_velocity_is_finite_at_both_ends_of_a_straight_path(self):
        path, x, u = RectifiedFlow(), torch.randn(2, 3), torch.randn(2, 3)
        got = to_prediction(path, "velocity", x, torch.tensor([0.0, 1.0]), u)
        assert torch.equal(got.eps[0], x[0]) and torch.equal(got.x0[1], x[1])
        assert got.x0.isfinite().all() and got.eps.isfinite().all()


class TestDenoiser:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_of_a_right_network_it_is_right(self, path, kind):
        x0, noise, t, x_t = mixed(path)
        denoiser = as_denoiser(lambda x, t: target(path, kind, x0, noise, t), path, kind, clip=9.0)
        torch.testing.assert_close(denoiser(x_t, t).eps, noise, rtol=0, atol=1e-6)
        torch.testing.assert_close(denoiser(x_t, t).x0, x0, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("path", PATHS)
    def test_clipped_data_and_their_noise_fit_x_t(self, path):
        """I53: clipping changes the noise too."""
        _, _, t, x_t = mixed(path)
        plain, clipped = (as_denoiser(lambda x, t: 3 * x, path, "v", clip)(x_t, t) for clip in (None, 0.5))
        torch.testing.assert_close(clipped.x0, plain.x0.clamp(-0.5, 0.5))
        assert (plain.x0.abs() > 0.5).any() and float(clipped.x0.abs().max()) <= 0.5
        torch.testing.assert_close(q_sample(path, clipped.x0, t, clipped.eps), x_t, rtol=0, atol=1e-9)


def test_two_predictions_compare_without_error():
    x = torch.zeros(2, 3)
    assert Prediction(x, x) != Prediction(x, x)


def test_bad_input():
    s, x, t = cosine_schedule(9), torch.zeros(2, 3), torch.tensor([0, 1])
    for call in (
        lambda: target(s, "eps", x, x, t),
        lambda: to_prediction(s, "x_0", x, t, x),
        lambda: as_denoiser(lambda x, t: x, s, "score"),
    ):
        with rejects("kind"):
            call()
    with rejects("clip"):
        as_denoiser(lambda x, t: x, s, "v", clip=0.0)
    with rejects("output: got shape"):
        to_prediction(s, "v", x, t, x[:, :1])
