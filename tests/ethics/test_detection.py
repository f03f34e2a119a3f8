"""Detection: the arithmetic of alarms by counting, the features' invariances, the detector against its closed form."""

import math

import numpy as np
import pytest
import torch

from companion.data import digits
from companion.data.sets import to_display, to_model
from companion.ethics.detection import exact_paper, fit_detector, grey_levels, predictive_value, spectrum
from companion.metrics.roc import auc


def images(n: int = 6, height: int = 7, width: int = 10) -> torch.Tensor:
    return torch.rand(n, 1, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_predictive_value_is_what_counting_gives() -> None:
    """Of 100,000 images 100 are fake; 99 of them and 999 of the 99,900 real ones raise an alarm."""
    assert predictive_value(0.99, 0.01, 0.001) == pytest.approx(99 / (99 + 999))


def test_an_alarm_that_does_not_separate_says_nothing() -> None:
    assert predictive_value(0.3, 0.3, 0.02) == pytest.approx(0.02)


def test_base_rate_forgotten() -> None:
    """The mistake: 99 % power and 1 % false alarms read as 99 % certainty. That holds at a base rate of one half only."""
    assert predictive_value(0.99, 0.01, 0.5) == pytest.approx(0.99)
    assert predictive_value(0.99, 0.01, 0.001) < 0.1


def test_predictive_value_by_simulation() -> None:
    generator = torch.Generator().manual_seed(1)
    fake = torch.rand(400_000, generator=generator) < 0.05
    alarm = torch.rand(400_000, generator=generator) < torch.where(fake, 0.8, 0.1)
    assert float(fake[alarm].double().mean()) == pytest.approx(predictive_value(0.8, 0.1, 0.05), abs=0.01)


def test_grey_levels_of_eight_bits_are_those_of_a_file() -> None:
    x = images()
    assert torch.allclose(grey_levels(x, 256), to_model(to_display(x)).double(), atol=1e-6)


def test_grey_levels_again_change_nothing_and_two_are_black_and_white() -> None:
    x = grey_levels(images(), 16)
    assert torch.allclose(grey_levels(x, 16), x)
    assert set(grey_levels(images(), 2).unique().tolist()) == {-1.0, 1.0}


def test_spectrum_is_numpys() -> None:
    x = images()
    wanted = np.log1p(np.abs(np.fft.fft2(x[:, 0].numpy())))[:, :, :6]
    assert np.allclose(spectrum(x).reshape(6, 7, 6).numpy(), wanted, atol=1e-9)


def test_spectrum_does_not_see_where_a_picture_lies_but_sees_what_it_is() -> None:
    x = images()
    assert torch.allclose(spectrum(x.roll((2, 3), (2, 3))), spectrum(x))
    assert not torch.allclose(spectrum(x.flip(2)), spectrum(x), atol=1e-3)


def test_exact_paper_sees_the_file_and_not_the_picture() -> None:
    """A thousandth of grey on the paper, which nobody sees, is all that it looks at; rounding takes it away."""
    real = digits("test", limit=50).images
    nearly = (real + 1e-3).clamp(max=1)
    assert auc(exact_paper(real), exact_paper(nearly)) == 1.0
    assert auc(exact_paper(grey_levels(real, 64)), exact_paper(grey_levels(nearly, 64))) == pytest.approx(0.5, abs=0.01)


def test_detector_reaches_the_best_possible_area_for_two_gaussians() -> None:
    """Unit Gaussians whose means differ by d: no score beats an area of Φ(d/√2)."""
    generator = torch.Generator().manual_seed(2)
    d = 1.5
    real, fake = torch.randn(2, 4000, 1, 1, 3, generator=generator)
    fake[..., 1] += d
    detector = fit_detector(real[:2000], fake[:2000], lambda x: x.flatten(1), penalty=1e-3)
    found = auc(detector.score(fake[2000:]), detector.score(real[2000:]))
    assert found == pytest.approx(0.5 * (1 + math.erf(d / 2)), abs=0.015)


def test_leak_through_the_file() -> None:
    """The mistake: real and fake saved differently. Two halves of the *same* digits are then told apart perfectly."""
    x = digits("test", limit=200).images
    one, other = x[:100], grey_levels(x[100:], 16)

    def on_a_level(images: torch.Tensor) -> torch.Tensor:
        return ((images - grey_levels(images, 16)).abs() < 1e-5).float().flatten(1).mean(1, keepdim=True)

    leaky = fit_detector(one[:50], other[:50], on_a_level)
    assert auc(leaky.score(other[50:]), leaky.score(one[50:])) > 0.95
    one = grey_levels(one, 16)
    fair = fit_detector(one[:50], other[:50], on_a_level)
    assert auc(fair.score(other[50:]), fair.score(one[50:])) == 0.5


def test_clear_errors() -> None:
    with pytest.raises(ValueError, match="base_rate"):
        predictive_value(0.9, 0.1, 1.5)
    with pytest.raises(ValueError, match="no alarm"):
        predictive_value(0.0, 0.0, 0.1)
    with pytest.raises(ValueError, match="levels"):
        grey_levels(images(), 1)
    with pytest.raises(ValueError, match="images"):
        exact_paper(torch.full((2, 1, 3, 3), torch.nan))
