"""Filling in: the conditional Gaussian against the precision matrix and against the joint density itself."""

import pytest
import torch
from torch import Tensor

from companion.data import small_digits
from companion.overview.discriminative.fill_in import conditional, fill_in, marginal, sample_fill_in
from companion.overview.discriminative.generative_classifier import GaussianClassifier, fit_gaussians
from tests.conftest import rejects
from tests.overview.discriminative.test_generative_classifier import data

KNOWN = torch.tensor([True, False, True, True, False])


def gaussian() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    return torch.randn(5, generator=generator, dtype=torch.float64), root @ root.T + 0.1 * torch.eye(5)


def test_conditional_equals_the_precision_form_I60() -> None:
    """eq-discriminative-conditional against an independent derivation: complete the square in the joint density."""
    mean, covariance = gaussian()
    values = torch.randn(4, 3, dtype=torch.float64)
    got_mean, got_covariance = conditional(mean, covariance, KNOWN, values)
    precision = covariance.inverse()
    inner = precision[~KNOWN][:, ~KNOWN].inverse()
    wanted = mean[~KNOWN] - (values - mean[KNOWN]) @ (inner @ precision[~KNOWN][:, KNOWN]).T
    torch.testing.assert_close(got_covariance, inner)
    torch.testing.assert_close(got_mean, wanted)
    printed = covariance[~KNOWN][:, KNOWN] @ covariance[KNOWN][:, KNOWN].inverse()
    torch.testing.assert_close(got_mean, mean[~KNOWN] + (values - mean[KNOWN]) @ printed.T)
    torch.testing.assert_close(got_covariance, covariance[~KNOWN][:, ~KNOWN] - printed @ covariance[KNOWN][:, ~KNOWN])


@pytest.mark.parametrize("pool", [0.0, 1.0])
def test_fill_in_is_the_ratio_of_integrals_over_the_joint(pool: float) -> None:
    """One hidden entry: E[x_h | x_k] = ∫ x_h p(x) dx_h / ∫ p(x) dx_h, by quadrature."""
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=pool, shrinkage=0.1)
    known = torch.tensor([True, True, True, False, True])
    line = torch.linspace(-60, 60, 20_001, dtype=torch.float64)
    for row in x[:3]:
        points = row.repeat(len(line), 1)
        points[:, 3] = line
        weights = model.log_prob(points).softmax(0)
        torch.testing.assert_close(fill_in(model, row[None], known)[0, 3], (weights * line).sum(), rtol=1e-6, atol=1e-6)


def test_known_entries_stay_and_hidden_ones_are_not_looked_at() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=0.2, shrinkage=0.1)
    blank = torch.where(KNOWN, x, torch.tensor(99.0, dtype=torch.float64))
    filled = fill_in(model, x, KNOWN)
    torch.testing.assert_close(filled[:, KNOWN], x[:, KNOWN], rtol=0, atol=0)
    torch.testing.assert_close(fill_in(model, blank, KNOWN), filled, rtol=0, atol=0)
    a, b = (sample_fill_in(model, v, KNOWN, torch.Generator().manual_seed(0)) for v in (x, blank))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert blank[0, 1] == 99, "the input is left as it was"


def test_draws_average_to_the_mean_and_spread_as_they_should() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=1.0, shrinkage=0.1)
    one = GaussianClassifier(torch.tensor([0.0, -1e9, -1e9]).double(), model.mean, model.covariance)
    draws = sample_fill_in(one, x[:1].repeat(20_000, 1), KNOWN, torch.Generator().manual_seed(0))
    _, spread = conditional(model.mean[0], model.covariance[0], KNOWN, x[:1, KNOWN])
    torch.testing.assert_close(draws.mean(0), fill_in(one, x[:1], KNOWN)[0], rtol=0, atol=0.1)
    assert (torch.cov(draws[:, ~KNOWN].T) - spread).norm() < 0.05 * spread.norm()


def test_marginal_is_the_joint_with_the_hidden_entries_summed_out() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=0.0, shrinkage=0.1)
    known = torch.tensor([True, True, True, False, True])
    line = torch.linspace(-60, 60, 20_001, dtype=torch.float64)
    points = x[0].repeat(len(line), 1)
    points[:, 3] = line
    integral = model.log_joint(points).exp().sum(0) * (line[1] - line[0])
    torch.testing.assert_close(marginal(model, known).log_joint(x[:1, known])[0].exp(), integral, rtol=1e-6, atol=0)


def test_fills_digits_in_better_than_the_mean_of_their_class() -> None:
    train, test = small_digits("train"), small_digits("test")
    x = test.images.flatten(1)
    model = fit_gaussians(train.images.flatten(1), train.labels, 10, pool=0.0, shrinkage=0.1)
    known = torch.arange(64) < 32
    error = (fill_in(model, x, known) - x)[:, ~known].square().mean()
    class_mean = (model.mean[test.labels] - x)[:, ~known].square().mean()
    assert error < 0.9 * class_mean


def test_bad_input() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=0.0, shrinkage=0.1)
    with rejects("at least one known and one hidden"):
        fill_in(model, x, torch.ones(5, dtype=torch.bool))
    with rejects("torch.bool"):
        fill_in(model, x, torch.ones(5))
    with rejects("known: got shape"):
        fill_in(model, x, KNOWN[:4])
    with rejects("x: got shape"):
        sample_fill_in(model, x[:, :4], KNOWN, torch.Generator())
    with rejects("NaN"):
        fill_in(model, torch.full_like(x, torch.nan), KNOWN)
    with rejects("values: got shape"):
        conditional(*gaussian(), KNOWN, x[:, :2])
