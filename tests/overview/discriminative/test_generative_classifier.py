"""The Gaussian classifier: densities equal torch's, the shared covariance gives a logistic posterior, it beats templates."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from companion.data import small_digits
from companion.overview.discriminative.generative_classifier import GaussianClassifier, fit_gaussians
from tests.conftest import rejects


def data(n: int = 60, dims: int = 5, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(n) % classes
    mix = torch.randn(classes, dims, dims, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, 1, dims, generator=generator, dtype=torch.float64)
    return y[:, None] + (noise @ mix[y])[:, 0], y


@pytest.mark.parametrize("pool", [0.0, 0.4, 1.0])
def test_log_joint_equals_torch_distributions_I63(pool: float) -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=pool, shrinkage=0.1)
    for c in range(3):
        trusted = MultivariateNormal(model.mean[c], model.covariance[c % len(model.covariance)])
        expected = model.log_prior[c] + trusted.log_prob(x)
        torch.testing.assert_close(model.log_joint(x)[:, c], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(model.log_prob(x).exp(), model.log_joint(x).exp().sum(1))


def test_covariance_is_as_printed_I60() -> None:
    """eq-discriminative-covariance, written out with loops."""
    x, y = data()
    pool, shrinkage = 0.3, 0.2
    model = fit_gaussians(x, y, 3, pool=pool, shrinkage=shrinkage)
    own = [torch.cov(x[y == c].T, correction=0) for c in range(3)]
    shared = sum((y == c).sum() / len(y) * own[c] for c in range(3))
    spread = shared.trace() / x.shape[1]
    for c in range(3):
        wanted = (1 - shrinkage) * ((1 - pool) * own[c] + pool * shared) + shrinkage * spread * torch.eye(5)
        torch.testing.assert_close(model.covariance[c], wanted)


def test_without_regularisation_each_mean_and_covariance_is_the_maximum_of_the_likelihood() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=0.0, shrinkage=0.0)
    best = model.log_joint(x).gather(1, y[:, None]).sum()
    for change in (1e-3, -1e-3):
        mean = GaussianClassifier(model.log_prior, model.mean + change, model.covariance)
        wider = GaussianClassifier(model.log_prior, model.mean, model.covariance * (1 + change))
        assert mean.log_joint(x).gather(1, y[:, None]).sum() < best
        assert wider.log_joint(x).gather(1, y[:, None]).sum() < best


def test_one_covariance_gives_exactly_a_logistic_posterior() -> None:
    """eq-discriminative-logistic."""
    x, y = data()
    model = fit_gaussians(x[:50], y[:50], 3, pool=1.0, shrinkage=0.1)
    weights, biases = model.linear_posterior()
    torch.testing.assert_close((x @ weights.T + biases).softmax(1), model.posterior(x), rtol=0, atol=1e-12)


def test_samples_have_the_mean_and_covariance_of_their_class_I3() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=0.0, shrinkage=0.1)
    drawn = model.sample(torch.full((20_000,), 2), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), model.mean[2], rtol=0, atol=0.1)
    error = (torch.cov(drawn.T) - model.covariance[2]).norm() / model.covariance[2].norm()
    assert error < 0.05


def test_posterior_does_not_depend_on_the_other_rows() -> None:
    x, y = data()
    model = fit_gaussians(x, y, 3, pool=0.5, shrinkage=0.1)
    changed = torch.cat([x[:1], x[1:] * 3])
    torch.testing.assert_close(model.posterior(changed)[0], model.posterior(x)[0], rtol=0, atol=1e-12)


def test_beats_the_nearest_class_mean_on_digits() -> None:
    train, test = small_digits("train"), small_digits("test")
    x, held_out = train.images.flatten(1), test.images.flatten(1)
    model = fit_gaussians(x, train.labels, 10, pool=0.0, shrinkage=0.1)
    accuracy = (model.posterior(held_out).argmax(1) == test.labels).float().mean()
    template = (torch.cdist(held_out, model.mean).argmin(1) == test.labels).float().mean()
    assert accuracy > template + 0.05 and accuracy > 0.95


def test_bad_input() -> None:
    x, y = data()
    with rejects("classes \\[3\\]"):
        fit_gaussians(x, y, 4, pool=0, shrinkage=0.1)
    with rejects("pool"):
        fit_gaussians(x, y, 3, pool=1.5, shrinkage=0.1)
    with rejects("shrinkage"):
        fit_gaussians(x, y, 3, pool=0, shrinkage=-0.1)
    with rejects("y: got shape"):
        fit_gaussians(x, y[:-1], 3, pool=0, shrinkage=0.1)
    with rejects("empty axis"):
        fit_gaussians(x[:0], y[:0], 3, pool=0, shrinkage=0.1)
    with rejects("NaN"):
        fit_gaussians(torch.full_like(x, torch.nan), y, 3, pool=0, shrinkage=0.1)
    with rejects("y: got torch.float64, wanted a tensor of integers"):
        fit_gaussians(x, y.double(), 3, pool=0, shrinkage=0.1)
    with rejects("do not vary"):
        fit_gaussians(torch.ones_like(x), y, 3, pool=0, shrinkage=0.1)
    with rejects("singular"):
        fit_gaussians(x[:6], y[:6], 3, pool=0, shrinkage=0.0).log_prob(x)
    model = fit_gaussians(x, y, 3, pool=0, shrinkage=0.1)
    with rejects("x: got shape"):
        model.log_prob(x[:, :3])
    with rejects("shared by all"):
        model.linear_posterior()
    with rejects("labels"):
        model.sample(torch.tensor([3]), torch.Generator())
