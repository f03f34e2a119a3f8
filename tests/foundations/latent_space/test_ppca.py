"""Probabilistic PCA: closed forms against torch.distributions, scikit-learn and brute force."""

import math

import pytest
import torch
from torch import Tensor

from companion.foundations.latent_space.ppca import PPCA, best_log_likelihood, fit_ppca, latent_nats
from companion.foundations.pca import fit_pca
from tests.conftest import gen, rejects


def data(n: int = 200, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=gen(), dtype=torch.float64) @ torch.randn(
        d, d, generator=gen(1), dtype=torch.float64
    ) + torch.arange(d)


class TestParity:
    def test_equals_scikit_learn(self):
        from sklearn.decomposition import PCA as Reference

        x = data()
        reference = Reference(n_components=3).fit(x.numpy())
        # scikit-learn divides by n - 1; likelihoods agree on the covariance that each has measured.
        scale = len(x) / (len(x) - 1)
        ours = fit_ppca(x, 3)
        assert ours.sigma2 * scale == pytest.approx(reference.noise_variance_)
        torch.testing.assert_close(ours.covariance * scale, torch.from_numpy(reference.get_covariance()))

    def test_log_density_carries_its_constants_I63(self):
        x, model = data(), fit_ppca(data(), 2)
        want = torch.distributions.MultivariateNormal(model.mean, model.covariance).log_prob(x)
        torch.testing.assert_close(model.log_prob(x), want, rtol=0, atol=1e-9)


class TestTruth:
    def test_solution_is_a_maximum(self):
        """No small change of W, mean or sigma2 raises the likelihood, and the eigenvalues give its height."""
        x = data()
        best = fit_ppca(x, 2)
        height = float(best.log_prob(x).mean())
        assert height == pytest.approx(best_log_likelihood(fit_pca(x).eigenvalues, 2), abs=1e-9)
        for seed in range(20):
            step = 0.05 * torch.randn(best.W.shape, generator=gen(seed), dtype=torch.float64)
            shift = 0.05 * torch.randn(best.mean.shape, generator=gen(seed), dtype=torch.float64)
            for other in (
                PPCA(best.W + step, best.mean, best.sigma2),
                PPCA(best.W, best.mean + shift, best.sigma2),
                PPCA(best.W, best.mean, best.sigma2 * (1.1 if seed % 2 else 0.9)),
            ):
                assert float(other.log_prob(x).mean()) < height

    def test_noise_is_the_mean_of_the_discarded_eigenvalues(self):
        x = data()
        values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
        assert fit_ppca(x, 2).sigma2 == pytest.approx(float(values[:4].mean()))

    def test_wtw_is_diagonal(self):
        W = fit_ppca(data(), 3).W
        torch.testing.assert_close(W.T @ W, torch.diag((W**2).sum(0)), rtol=0, atol=1e-10)

    def test_posterior_is_bayes(self):
        """``eq-ppca-posterior`` against p(x, z) / p(x), at many z."""
        model, x = fit_ppca(data(), 2), data(4)
        mean, covariance = model.posterior(x)
        normal = torch.distributions.MultivariateNormal
        for z in torch.randn(5, 4, 2, generator=gen(2), dtype=torch.float64):
            likelihood = torch.distributions.Normal(z @ model.W.T + model.mean, math.sqrt(model.sigma2)).log_prob(x)
            joint = likelihood.sum(1) + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
            torch.testing.assert_close(normal(mean, covariance).log_prob(z), joint - model.log_prob(x))

    def test_elbo_gap_is_the_kl_to_the_posterior(self):
        model, x = fit_ppca(data(), 2), data(4)
        mean, covariance = model.posterior(x)
        torch.testing.assert_close(model.elbo(x, mean, covariance), model.log_prob(x))
        wrong = mean + 0.3, torch.diag(torch.tensor([0.5, 0.02]).double())
        normal = torch.distributions.MultivariateNormal
        gap = torch.distributions.kl_divergence(normal(*wrong), normal(mean, covariance))
        assert (gap > 0.1).all()
        torch.testing.assert_close(model.log_prob(x) - model.elbo(x, *wrong), gap)

    def test_printed_equations_I60(self):
        """``eq-ppca-marginal``, ``eq-ppca-solution`` and ``eq-ppca-likelihood`` as the lesson prints them."""
        x = data()
        S = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
        values, U = torch.linalg.eigh(S)
        values, U = values.flip(0), U.flip(1)
        sigma2 = values[2:].mean()
        W = U[:, :2] @ torch.diag(values[:2] - sigma2).sqrt()
        C = W @ W.T + sigma2 * torch.eye(6)
        torch.testing.assert_close(fit_ppca(x, 2).covariance, C)
        d = x - x.mean(0)
        density = -0.5 * (6 * math.log(2 * math.pi) + torch.logdet(C) + (d @ torch.linalg.inv(C) * d).sum(1))
        torch.testing.assert_close(fit_ppca(x, 2).log_prob(x), density)
        height = -0.5 * (6 * math.log(2 * math.pi) + values[:2].log().sum() + 4 * sigma2.log() + 6)
        assert best_log_likelihood(values, 2) == pytest.approx(float(height), abs=1e-10)

    @pytest.mark.parametrize("sigma2", [0.1, 2.0, 100.0])
    def test_mean_kl_is_half_the_log_of_the_ratio(self, sigma2):
        """``eq-water-filling`` from the posterior itself, averaged over the data: above 100 nothing is left."""
        x = data()
        model = fit_ppca(x, 3, sigma2=sigma2)
        mean, covariance = model.posterior(x)
        nats = 0.5 * ((mean**2).mean(0) + covariance.diagonal() - 1 - covariance.diagonal().log())
        torch.testing.assert_close(nats, latent_nats(fit_pca(x).eigenvalues[:3], sigma2), rtol=0, atol=1e-9)

    def test_draws_have_the_covariance(self):
        model = fit_ppca(data(), 2)
        x = model.sample(100_000, gen())
        torch.testing.assert_close(torch.cov(x.T), model.covariance, rtol=0.05, atol=0.05)
        torch.testing.assert_close(x.mean(0), model.mean, rtol=0, atol=0.05)


class TestBadInput:
    @pytest.mark.parametrize("latent", [0, -1, 6, 1.5])
    def test_latent_is_between_one_and_the_data(self, latent):
        with rejects("latent"):
            fit_ppca(data(), latent)
        with rejects("latent"):
            fit_ppca(data(2), 3, sigma2=0.1)  # two examples have two axes
        with rejects("latent"):
            best_log_likelihood(torch.ones(6), latent)

    def test_no_variance_left_for_the_noise(self):
        x = torch.zeros(5, 3)
        x[:, 0] = torch.arange(5)
        with rejects("variance"):
            fit_ppca(x, 1)
        with rejects("positive"):
            best_log_likelihood(torch.tensor([1.0, 0.0, 0.0]), 1)

    @pytest.mark.parametrize("sigma2", [0.0, -1.0, math.nan])
    def test_noise_is_positive(self, sigma2):
        with rejects("sigma2"):
            fit_ppca(data(), 2, sigma2=sigma2)
        with rejects("sigma2"):
            PPCA(torch.ones(3, 2), torch.zeros(3), sigma2)
        with rejects("sigma2"):
            latent_nats(torch.ones(3), sigma2)

    def test_sizes_must_fit(self):
        model = fit_ppca(data(), 2)
        for call in (model.log_prob, model.posterior):
            with rejects("x"):
                call(torch.zeros(4, 5).double())
        with rejects("mean"):
            model.elbo(data(4), torch.zeros(1, 2).double(), torch.eye(2).double())
        with rejects("covariance"):
            model.elbo(data(4), torch.zeros(4, 2).double(), torch.eye(3).double())
        with rejects("mean"):
            PPCA(torch.ones(3, 2), torch.zeros(1), 1.0)
        with rejects("n"):
            model.sample(0, gen())
