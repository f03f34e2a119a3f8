"""Logistic regression: the optimum of the printed objective, as scikit-learn finds it too."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression as Trusted

from companion.data import small_digits
from companion.foundations.logistic import fit_logistic
from companion.overview.discriminative.generative_classifier import fit_gaussians
from tests.conftest import rejects
from tests.overview.discriminative.test_generative_classifier import data


def test_equals_scikit_learn() -> None:
    x, y = data()
    penalty = 0.05
    got = fit_logistic(x, y, 3, penalty=penalty)
    # scikit-learn adds 1/C times half the squared weights to the sum of the losses, not to their mean.
    trusted = Trusted(C=1 / (penalty * len(x)), tol=1e-9, max_iter=1000).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(got.posterior(x).numpy(), trusted.predict_proba(x.numpy()), atol=1e-4)


def test_the_gradient_of_the_printed_objective_vanishes_I60() -> None:
    """eq-discriminative-cross-entropy and the penalty, differentiated by hand."""
    x, y = data()
    got = fit_logistic(x, y, 3, penalty=0.1)
    residual = got.posterior(x) - torch.nn.functional.one_hot(y, 3)
    assert (residual.T @ x / len(x) + 0.1 * got.weight).abs().max() < 1e-4
    assert residual.mean(0).abs().max() < 1e-4


def test_no_linear_classifier_has_a_better_cross_entropy_than_the_fitted_one() -> None:
    """The Gaussian classifier with one covariance is in the same family, so on the training data it cannot be better."""
    train = small_digits("train", limit=300)
    x, y = train.images.flatten(1).double(), train.labels
    generative = fit_gaussians(x, y, 10, pool=1.0, shrinkage=0.2).posterior(x)
    discriminative = fit_logistic(x, y, 10, penalty=1e-4).posterior(x)
    rows = torch.arange(len(y))
    assert discriminative[rows, y].log().mean() > generative[rows, y].log().mean() + 0.05


def test_bad_input() -> None:
    x, y = data()
    with rejects("penalty"):
        fit_logistic(x, y, 3, penalty=0.0)
    with rejects("y: got values"):
        fit_logistic(x, y, 2, penalty=0.1)
    with rejects("y: got shape"):
        fit_logistic(x, y[:3], 3, penalty=0.1)
    with rejects("NaN"):
        fit_logistic(x * torch.nan, y, 3, penalty=0.1)
    with rejects("iterations"):
        fit_logistic(x, y, 3, penalty=0.1, iterations=0)
    with rejects("x: got shape"):
        fit_logistic(x, y, 3, penalty=0.1).posterior(x[:, :2])
