"""Ways and their straightness: Gaussian data have both in closed form, and one datum's ways are lines."""

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.prediction import Prediction, to_prediction
from companion.diffusion.straightness import straightness, ways
from tests.conftest import gen

PATH, STD = RectifiedFlow(), 0.3
NOISE = torch.randn(300, 4, generator=gen()).double()


def spread(t: float) -> float:
    return ((t * STD) ** 2 + (1 - t) ** 2) ** 0.5


def slope(t: float) -> float:
    return (t * STD**2 - (1 - t)) / spread(t)


def test_for_gaussian_data_it_is_an_integral_in_closed_form() -> None:
    places, velocities = ways(gaussian_denoiser(PATH, STD), NOISE, 2000)
    assert places.shape == (2001, *NOISE.shape) and velocities.shape == (2000, *NOISE.shape)
    for i in (0, 800, 2000):
        torch.testing.assert_close(places[i], spread(i / 2000) * NOISE, rtol=2e-2, atol=1e-3)
    want = quad(lambda t: (STD - 1 - slope(t)) ** 2, 0, 1)[0] / (STD - 1) ** 2
    assert straightness(places, velocities) == pytest.approx(want, rel=5e-3) and want > 0.05


def test_ways_to_one_datum_and_to_data_as_spread_as_the_noise_are_told_apart() -> None:
    def one_datum(x: Tensor, t: Tensor) -> Prediction:
        return to_prediction(PATH, "x0", x, t, torch.full_like(x, 2.0))

    assert straightness(*ways(one_datum, NOISE, 50)) < 1e-12
    assert straightness(*ways(gaussian_denoiser(PATH, 1.0, 3.0), NOISE, 200)) > 0.01


def test_it_has_no_unit_and_its_mean_is_over_times_and_examples() -> None:
    places, velocities = ways(gaussian_denoiser(PATH, STD), NOISE[:2], 5)
    whole = places[-1] - places[0]
    want = sum((whole - v).square().sum() for v in velocities) / 5 / whole.square().sum()
    got = straightness(places, velocities)
    assert got == pytest.approx(float(want)) and straightness(7 * places, 7 * velocities) == pytest.approx(got)
