"""Denoising score matching: its optimum and its floor in closed form; Langevin sampling with exact scores."""

import math

import torch

from companion.data.points import GaussianMixture, ring
from companion.diffusion.times import LogUniform, geometric_sigmas
from companion.foundations.losses.score_matching import (
    ScoreMLP,
    annealed_langevin,
    denoise,
    langevin,
    score_matching_loss,
)
from companion.metrics.modes import mode_report
from companion.training import TrainConfig, train
from tests.conftest import rejects


def gaussian_score(mean: float, sd: float):
    return lambda x, sigma: (mean - x) / (sd**2 + sigma[:, None] ** 2)


def exact(law: GaussianMixture):
    return lambda x, sigma: law.smoothed(float(sigma[0])).score(x)


def test_loss_as_printed_I60():
    """eq-dsm, point by point in float64, with the same noise."""
    x, sigma = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0.1, 0.5, 1.0, 2.0], dtype=torch.float64)
    score = gaussian_score(0.3, 0.8)
    got = score_matching_loss(score, x, sigma, torch.Generator().manual_seed(5))
    epsilon = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    total = 0.0
    for i in range(4):
        noisy = x[i] + sigma[i] * epsilon[i]
        s = (0.3 - noisy) / (0.8**2 + sigma[i] ** 2)
        total += float(sum((sigma[i] * s[j] + epsilon[i, j]) ** 2 for j in range(3)))
    assert math.isclose(float(got), total / 4, rel_tol=1e-12)


def test_the_optimum_is_the_score_of_the_smoothed_law():
    """The best linear score a + b x of the loss, by its normal equations, is (m - x) / (s² + σ²): not (m - x) / s²."""
    m, s, sigma, n = 0.5, 0.7, 0.6, 400_000
    generator = torch.Generator().manual_seed(0)
    x = m + s * torch.randn(n, dtype=torch.float64, generator=generator)
    epsilon = torch.randn(n, dtype=torch.float64, generator=generator)
    noisy = x + sigma * epsilon
    # minimise |sigma (a + b noisy) + epsilon|²: least squares of -epsilon / sigma on (1, noisy)
    design = torch.stack([torch.ones_like(noisy), noisy], 1)
    a, b = torch.linalg.lstsq(design, -epsilon / sigma).solution
    assert math.isclose(float(b), -1 / (s**2 + sigma**2), rel_tol=0.01)
    assert math.isclose(float(a), m / (s**2 + sigma**2), rel_tol=0.02)


def test_the_smoothed_score_is_a_stationary_point_of_the_loss_for_a_mixture():
    """Scaling or shifting the exact score does not lower the loss, to first order; the clean score is worse."""
    law, sigma = ring(sd=0.3).mixture, 0.4
    x, _ = law.sample(100_000, torch.Generator().manual_seed(0))
    level = torch.full((len(x),), sigma)
    scale, shift = torch.ones(1, requires_grad=True), torch.zeros(2, requires_grad=True)
    smooth = law.smoothed(sigma)
    loss = score_matching_loss(lambda y, _: scale * smooth.score(y) + shift, x, level, torch.Generator().manual_seed(1))
    for gradient in torch.autograd.grad(loss, (scale, shift)):
        assert gradient.abs().max() < 0.02
    clean = score_matching_loss(lambda y, _: law.score(y), x, level, torch.Generator().manual_seed(1))
    assert clean > loss + 0.1


def test_the_loss_of_the_exact_score_is_the_floor_not_zero():
    x = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)) * 0.5
    for sigma in (0.1, 0.5, 2.0):
        loss = score_matching_loss(
            gaussian_score(0.0, 0.5), x, torch.full((len(x),), sigma), torch.Generator().manual_seed(1)
        )
        assert math.isclose(float(loss), 2 * 0.5**2 / (0.5**2 + sigma**2), rel_tol=0.02)  # d · sd² / (sd² + σ²)


def test_tweedie_is_the_posterior_mean():
    """eq-tweedie: for a Gaussian the mean of x given the noisy point is the precision-weighted mean."""
    m, s, sigma = 1.0, 0.5, 0.8
    y = torch.randn(6, 2, dtype=torch.float64)
    want = (m / s**2 + y / sigma**2) / (1 / s**2 + 1 / sigma**2)
    assert torch.allclose(denoise(gaussian_score(m, s), y, sigma), want, atol=1e-12)


def test_one_langevin_step_as_printed_I60():
    x = torch.randn(3, 2, dtype=torch.float64)
    got = langevin(gaussian_score(0.0, 1.0), x, 0.5, 0.3, 1, torch.Generator().manual_seed(2))
    epsilon = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(got, x + 0.3 / 2 * (-x / 1.25) + math.sqrt(0.3) * epsilon, atol=1e-12)


def test_langevin_reaches_the_law_of_a_gaussian():
    x = langevin(gaussian_score(1.0, 0.5), torch.zeros(20_000, 1), 0.01, 0.02, 200, torch.Generator().manual_seed(0))
    assert abs(float(x.mean()) - 1) < 0.02 and abs(float(x.std()) - 0.5) < 0.02


def test_the_last_step_adds_no_noise_I61():
    """All data in one point: with its exact score the sampler ends exactly there, whatever the noise before."""
    target = torch.tensor([0.3, -1.2], dtype=torch.float64)
    score = lambda x, sigma: (target - x) / sigma[:, None] ** 2  # noqa: E731
    start = 3 * torch.randn(5, 2, dtype=torch.float64)
    out = annealed_langevin(score, start, geometric_sigmas(3.0, 0.5, 4), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(out, target.expand(5, 2), atol=1e-12)


def test_annealed_langevin_with_the_exact_score_finds_every_mode():
    law = ring().mixture
    start = 3 * torch.randn(2_000, 2, generator=torch.Generator().manual_seed(0))
    out = annealed_langevin(
        exact(law),
        start,
        geometric_sigmas(3.0, 0.03, 12),
        steps=20,
        rate=0.3,
        generator=torch.Generator().manual_seed(1),
    )
    report = mode_report(out, law.means, law.sd)
    assert report.found == 8 and report.high_quality > 0.95
    # Without the high noise levels each point stays with the mode that it starts near.
    stuck = annealed_langevin(
        exact(law), law.means[:1].expand(500, 2), torch.tensor([0.06, 0.03]), generator=torch.Generator().manual_seed(1)
    )
    assert mode_report(stuck, law.means, law.sd).found == 1


def test_network_depends_on_the_noise_level_of_its_own_row_I47():
    net = ScoreMLP(2, width=8)
    x = torch.randn(1, 2).expand(3, 2)
    out = net(x, torch.tensor([0.1, 1.0, 0.1]))
    assert torch.allclose(out[0], out[2]) and not torch.allclose(out[0], out[1])


def test_learns_the_score_of_a_gaussian():
    """Against predicting the noise as the whole displacement, s = -x/σ² (blind to the data): a tenth of its error."""
    data = ring(modes=1, radius=1.0, sd=0.5)
    torch.manual_seed(0)

    def loss(model, batch, generator):
        return score_matching_loss(model, batch[0], LogUniform(0.1, 2.0)(len(batch[0]), generator, batch[0]), generator)

    config = TrainConfig(400, 64, lr=5e-3, weight_decay=0.0, ema=0.98)
    model = train(ScoreMLP(2, width=32, depth=2), loss, data.draw, config).model
    law, sigma = data.mixture, 0.5
    x, _ = law.smoothed(sigma).sample(2_000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = model(x, torch.full((len(x),), sigma))
    truth = law.smoothed(sigma).score(x)
    error = (got - truth).square().sum(1).mean()
    assert error < 0.1 * (-x / sigma**2 - truth).square().sum(1).mean()
    assert error < 0.1 * truth.square().sum(1).mean()


def test_bad_input():
    x, sigma, generator = torch.zeros(3, 2), torch.ones(3), torch.Generator()
    score = gaussian_score(0.0, 1.0)
    for call, pattern in [
        (lambda: score_matching_loss(score, x, torch.ones(2), generator), "sigma: got shape"),
        (lambda: score_matching_loss(score, x[:0], sigma[:0], generator), "x: got shape"),
        (
            lambda: score_matching_loss(score, x, torch.zeros(3), generator),
            "sigma: got values from 0 to 0, wanted .* above 0",
        ),
        (lambda: score_matching_loss(lambda x, s: x[:, :1], x, sigma, generator), "predicted: got shape"),
        (lambda: langevin(score, x, 0.0, 0.1, 1, generator), "sigma: got 0.0"),
        (lambda: langevin(score, x, 0.1, -0.1, 1, generator), "step_size: got -0.1"),
        (lambda: langevin(score, x, 0.1, 0.1, 0, generator), "steps: got 0"),
        (lambda: langevin(score, x * float("nan"), 0.1, 0.1, 1, generator), "x: got 6 values"),
        (lambda: annealed_langevin(score, x, torch.tensor([0.1, 0.2]), generator=generator), "sigmas: got"),
    ]:
        with rejects(pattern):
            call()


def test_the_network_sees_unit_variance_and_a_small_logarithm_and_answers_the_noise():
    """s(x, σ) = net(x / √(1 + σ²), log σ / 4) / σ, with levels from 0.01 to 100."""
    net = ScoreMLP(3, width=8, depth=1)
    x, sigma = torch.randn(5, 3), torch.tensor([0.01, 0.3, 1.0, 7.0, 100.0])
    asked = []
    net.net.forward = lambda y, time: asked.append((y, time)) or y + time[:, None]
    got = net(x, sigma)
    ((y, time),) = asked
    for i, s in enumerate(sigma.tolist()):
        torch.testing.assert_close(y[i], x[i] / math.sqrt(1 + s * s))
        assert math.isclose(float(time[i]), math.log(s) / 4, abs_tol=1e-6)
        torch.testing.assert_close(got[i], (y[i] + time[i]) / s)
