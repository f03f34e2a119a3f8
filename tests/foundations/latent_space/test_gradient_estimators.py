"""Two gradient estimators: both unbiased, their variances as the closed forms say."""

import math

import pytest
import torch

from companion.foundations.latent_space.gradient_estimators import quadratic_variances, reparameterised, score_function
from tests.conftest import gen, rejects

MU = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def bowl(z):
    return 0.5 * (z**2).sum(1)


def test_both_are_unbiased():
    """E[|z|^2 / 2] has the gradient mu; a baseline changes nothing in the mean."""
    n = 200_000
    for gradients in (
        reparameterised(bowl, MU, 0.7, n, gen()),
        score_function(bowl, MU, 0.7, n, gen()),
        score_function(bowl, MU, 0.7, n, gen(), baseline=3.0),
    ):
        assert gradients.shape == (n, 3)
        error = gradients.std(0) / math.sqrt(n)
        assert ((gradients.mean(0) - MU).abs() < 4 * error).all()


@pytest.mark.parametrize(("d", "sigma"), [(1, 1.0), (3, 0.5), (20, 2.0)])
def test_variances_are_the_closed_forms_I60(d, sigma):
    """``eq-gradient-variance`` as printed, against 400,000 draws at the minimum of the bowl."""
    mu, n = torch.zeros(d, dtype=torch.float64), 400_000
    want = quadratic_variances(d, sigma)
    assert want.reparameterised == sigma**2
    assert want.score_function == sigma**2 * (d + 2) * (d + 4) / 4
    assert want.score_function_with_baseline == want.best_baseline == sigma**2 * (d + 2) / 2
    got = [
        reparameterised(bowl, mu, sigma, n, gen()).var(0).mean(),
        score_function(bowl, mu, sigma, n, gen()).var(0).mean(),
        score_function(bowl, mu, sigma, n, gen(), baseline=want.best_baseline).var(0).mean(),
    ]
    expected = [want.reparameterised, want.score_function, want.score_function_with_baseline]
    torch.testing.assert_close(torch.stack(got), torch.tensor(expected).double(), rtol=0.04, atol=0)


@pytest.mark.parametrize(("d", "sigma"), [(1, 1.0), (3, 0.5)])
def test_no_other_constant_has_less_variance(d, sigma):
    """The same draws with constants beside the best, among them the mean of f: each has more."""
    mu, best = torch.zeros(d, dtype=torch.float64), quadratic_variances(d, sigma).best_baseline

    def variance(baseline):
        return score_function(bowl, mu, sigma, 400_000, gen(), baseline=baseline).var(0).mean()

    others = [0.0, sigma**2 * d / 2, 0.7 * best, 1.3 * best]
    assert all(variance(b) > 1.02 * variance(best) for b in others)


def test_printed_estimators_I60():
    """``eq-pathwise`` and ``eq-score-function`` at given draws, for f with a known slope."""
    eps = torch.randn(4, 3, generator=gen(), dtype=torch.float64)
    z = MU + 0.7 * eps
    torch.testing.assert_close(
        reparameterised(lambda z: torch.sin(z).sum(1), MU, 0.7, 4, gen()), torch.cos(MU + 0.7 * eps)
    )
    want = (torch.sin(z).sum(1) - 0.2)[:, None] * (z - MU) / 0.7**2
    got = score_function(lambda z: torch.sin(z).sum(1), MU, 0.7, 4, gen(), baseline=0.2)
    torch.testing.assert_close(got, want)


def test_a_step_has_a_score_gradient_but_no_slope():
    """P(z > 0) has the density as its derivative: the score function finds it, the slope of a step cannot."""

    def step(z):
        return (z[:, 0] > 0).double()

    mu = torch.tensor([0.3], dtype=torch.float64)
    got = score_function(step, mu, 1.0, 200_000, gen()).mean()
    assert float(got) == pytest.approx(math.exp(-0.045) / math.sqrt(2 * math.pi), abs=0.01)
    with rejects("slope"):
        reparameterised(step, mu, 1.0, 10, gen())


@pytest.mark.parametrize("estimator", [reparameterised, score_function])
@pytest.mark.parametrize(
    ("mu", "sigma", "draws", "words"),
    [
        (torch.zeros(2, 2), 1.0, 5, "mu"),
        (torch.zeros(0), 1.0, 5, "mu"),
        (torch.full((2,), math.nan), 1.0, 5, "mu"),
        (torch.zeros(2).int(), 1.0, 5, "mu"),
        (torch.zeros(2), 0.0, 5, "sigma"),
        (torch.zeros(2), 1.0, 0, "draws"),
    ],
)
def test_bad_input(estimator, mu, sigma, draws, words):
    with rejects(words):
        estimator(bowl, mu, sigma, draws, gen())


@pytest.mark.parametrize("estimator", [reparameterised, score_function])
def test_f_gives_one_number_a_draw(estimator):
    with rejects("f: got"):
        estimator(lambda z: z, torch.zeros(2), 1.0, 3, gen())


def test_bad_numbers():
    with rejects("d"):
        quadratic_variances(0, 1.0)
    with rejects("baseline"):
        score_function(bowl, MU, 1.0, 3, gen(), baseline=math.nan)
