"""The three parameterisations: equations as printed, conversions back and forth, parity with diffusers, dropped labels."""

import math

import pytest
import torch

from companion.diffusion.ddpm import cosine_schedule, epsilon_loss, linear_schedule, q_sample
from companion.diffusion.parameterisation import (
    PREDICTIONS,
    as_denoiser,
    data_and_noise,
    diffusion_loss,
    drop_labels,
    target,
)
from tests.conftest import rejects


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def case():
    s = cosine_schedule(20)
    x0, noise, t = torch.randn(5, 1, 2, 3).double(), torch.randn(5, 1, 2, 3).double(), torch.tensor([0, 3, 9, 18, 19])
    return s, x0, noise, t, q_sample(s, x0, t, noise)


class TestTruth:
    def test_printed_equations_I60(self, case):
        """``eq-ddpm-v`` and ``eq-ddpm-from-v``, number by number in float64."""
        s, x0, noise, t, x_t = case
        v = target(s, "v", x0, noise, t)
        back, eps = data_and_noise(s, "v", x_t, t, v)
        for i in range(5):
            bar = float(s.alpha_bar[t[i]])
            a, b = math.sqrt(bar), math.sqrt(1 - bar)
            x, e, y = (float(z[i, 0, 1, 2]) for z in (x0, noise, x_t))
            assert float(v[i, 0, 1, 2]) == pytest.approx(a * e - b * x)
            assert float(back[i, 0, 1, 2]) == pytest.approx(a * y - b * (a * e - b * x))
            assert float(eps[i, 0, 1, 2]) == pytest.approx(b * y + a * (a * e - b * x))

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_the_right_answer_gives_data_and_noise_back(self, case, prediction):
        s, x0, noise, t, x_t = case
        got = data_and_noise(s, prediction, x_t, t, target(s, prediction, x0, noise, t))
        torch.testing.assert_close(got[0], x0, rtol=0, atol=1e-9)
        torch.testing.assert_close(got[1], noise, rtol=0, atol=1e-9)

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_data_and_noise_always_explain_x_t(self, case, prediction):
        """Whatever the network says, its data and its noise make x_t."""
        s, _, _, t, x_t = case
        data, noise = data_and_noise(s, prediction, x_t, t, torch.randn_like(x_t))
        torch.testing.assert_close(q_sample(s, data, t, noise), x_t, rtol=0, atol=1e-9)

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


class TestLoss:
    def test_epsilon_is_the_loss_of_the_foundations(self):
        s, x0 = cosine_schedule(9), torch.randn(6, 1, 2, 2)
        labels = torch.arange(6)
        ours = diffusion_loss(lambda x, t, y: 0.5 * x, s, x0, labels, gen(), drop=0.0)
        torch.testing.assert_close(ours, epsilon_loss(lambda x, t: 0.5 * x, s, x0, gen()), rtol=0, atol=0)

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_a_perfect_network_has_no_loss(self, prediction):
        """One known image: the network can compute the answer from x_t alone."""
        s, x0 = cosine_schedule(12), torch.rand(1, 3).double().expand(7, 3) * 2 - 1

        def perfect(x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            bar = s.alpha_bar[t][:, None]
            return target(s, prediction, x0, (x_t - bar.sqrt() * x0) / (1 - bar).sqrt(), t)

        value = diffusion_loss(perfect, s, x0, torch.zeros(7).long(), gen(), prediction=prediction)
        assert float(value) < 1e-20

    def test_the_drop_rate_is_as_asked_I54(self):
        """Measured on what the network sees; the other labels arrive unchanged, each with its own image."""
        seen: list[torch.Tensor] = []

        def spy(x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            seen.append(labels)
            return x

        labels = torch.arange(40_000) % 10
        diffusion_loss(spy, cosine_schedule(5), torch.zeros(40_000, 1), labels, gen(), drop=0.1, no_label=10)
        gone = seen[0] == 10
        assert float(gone.float().mean()) == pytest.approx(0.1, abs=0.006)
        assert torch.equal(seen[0][~gone], labels[~gone])
        assert torch.equal(drop_labels(labels, 0.0, 10, gen()), labels)
        assert (drop_labels(labels, 1.0, 10, gen()) == 10).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_as_denoiser_predicts_the_noise(case, prediction):
    s, x0, noise, t, x_t = case
    denoiser = as_denoiser(lambda x, t: target(s, prediction, x0, noise, t), s, prediction)
    torch.testing.assert_close(denoiser(x_t, t), noise, rtol=0, atol=1e-9)


def test_bad_input(case):
    s, x0, noise, t, x_t = case
    for call in (lambda: target(s, "eps", x0, noise, t), lambda: data_and_noise(s, "x_0", x_t, t, x_t)):
        with rejects("prediction"):
            call()
    with rejects("prediction"):
        as_denoiser(lambda x, t: x, s, "score")
    with rejects("share"):
        drop_labels(torch.zeros(3).long(), 1.5, 10, gen())
    with rejects("output"):
        diffusion_loss(lambda x, t, y: x[:, :, :1], s, x0, t, gen())
