"""The closed forms of Gaussian data: against regression, against each other, and as an equation's solution."""

import math

import pytest
import torch

from companion.diffusion.gaussian import gaussian_denoiser, gaussian_factor, velocity_from_score
from companion.diffusion.paths import RectifiedFlow, for_each, linear_schedule, q_sample
from tests.conftest import rejects
from tests.oracles import PATHS

MEAN, SD = torch.tensor([1.5, -0.5], dtype=torch.float64), 0.4


@pytest.mark.parametrize("path", PATHS)
def test_the_denoiser_is_the_conditional_mean_by_regression(path):
    """For Gaussians the mean of data and noise given x_t is linear, so least squares finds it."""
    n, generator = 200_000, torch.Generator().manual_seed(0)
    x0 = MEAN + SD * torch.randn(n, 2, dtype=torch.float64, generator=generator)
    eps = torch.randn(n, 2, dtype=torch.float64, generator=generator)
    t = path.times(6)[3]
    x_t = q_sample(path, x0, for_each(t, x0), eps)
    design = torch.cat([torch.ones(n, 1, dtype=torch.float64), x_t], 1)
    points = x_t[:5]
    got = gaussian_denoiser(path, SD, MEAN)(points, for_each(t, points))
    for part, said in ((x0, got.x0), (eps, got.eps)):
        fitted = design[:5] @ torch.linalg.lstsq(design, part).solution
        assert torch.allclose(fitted, said, atol=0.03)


@pytest.mark.parametrize("path", PATHS)
def test_its_data_and_noise_make_x_t(path):
    x, t = torch.randn(3, 2).double(), path.times(6)[2]
    found = gaussian_denoiser(path, SD, MEAN)(x, for_each(t, x))
    torch.testing.assert_close(q_sample(path, found.x0, for_each(t, x), found.eps), x)


def test_printed_velocity_of_a_straight_path():
    """v(x, t) = m + (t s² - (1 - t)) / ((1 - t)² + t² s²) (x - t m), written out."""
    x, t = torch.randn(6, 2, dtype=torch.float64), torch.linspace(0, 1, 6, dtype=torch.float64)
    at = t[:, None]
    slope = (at * SD**2 - (1 - at)) / ((1 - at) ** 2 + (at * SD) ** 2)
    got = gaussian_denoiser(RectifiedFlow(), SD, MEAN)(x, t).velocity
    torch.testing.assert_close(got, MEAN + slope * (x - at * MEAN))


def test_velocity_and_score_are_one_field():
    """eq-velocity-score: from the score of p_t = N(t m, ((1-t)² + t² s²) I) to the closed form of the velocity."""
    x, t = torch.randn(6, 2, dtype=torch.float64), torch.linspace(0.1, 1, 6, dtype=torch.float64)
    variance = ((1 - t) ** 2 + (t * SD) ** 2)[:, None]
    score = (t[:, None] * MEAN - x) / variance
    exact = gaussian_denoiser(RectifiedFlow(), SD, MEAN)(x, t).velocity
    assert torch.allclose(velocity_from_score(x, t, score), exact, atol=1e-12)


def test_factors():
    """The spread of q(x_s) over that of q(x_t); from near-pure noise to the data it is the data's spread."""
    s = linear_schedule(1000)
    bar = float(s.alpha_bar[400])
    assert gaussian_factor(s, 0.3, 400, -1) == pytest.approx(0.3 / math.sqrt(bar * 0.09 + 1 - bar))
    assert gaussian_factor(s, 0.3, 999, -1) == pytest.approx(0.3, rel=1e-4)
    assert gaussian_factor(RectifiedFlow(), 2.0, 0.0, 1.0) == pytest.approx(2.0)
    assert gaussian_factor(s, 0.3, 800, 400) * gaussian_factor(s, 0.3, 400, 3) == pytest.approx(
        gaussian_factor(s, 0.3, 800, 3)
    )


def test_bad_input():
    x, t = torch.zeros(3, 2), torch.zeros(3)
    for call, pattern in [
        (lambda: velocity_from_score(x, t, x), "t: got 0"),
        (lambda: velocity_from_score(x, t + 1, x[:, :1]), "score: got shape"),
        (lambda: gaussian_denoiser(RectifiedFlow(), 0.0), "std: got 0.0"),
        (lambda: gaussian_factor(RectifiedFlow(), -1.0, 0.0, 1.0), "std"),
    ]:
        with rejects(pattern):
            call()
