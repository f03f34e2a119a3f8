"""The factor analyser: against torch, the dense Gaussian, and data of known covariance."""

import pytest
import torch
import torch.distributions as td

from companion.foundations.distributions.factor_analysis import FactorAnalyser
from companion.foundations.distributions.families import FullGaussian

F64 = torch.float64


N, D, K, Q = 5, 7, 3, 2


def _analyser(dtype=F64):
    return FactorAnalyser(torch.randn(D, dtype=dtype), torch.randn(D, Q, dtype=dtype), torch.rand(D, dtype=dtype) + 0.1)


def _clusters(n=300, dtype=F64):
    g = torch.Generator().manual_seed(7)
    centres = 3 * torch.randn(4, D, generator=g, dtype=dtype)
    return centres[torch.randint(4, (n,), generator=g)] + torch.randn(n, D, generator=g, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-10), (torch.float32, 1e-5)])
def test_factor_analyser_equals_torch_and_the_dense_gaussian_I63(dtype, tolerance):
    p = _analyser(dtype)
    x = torch.randn(N, D, dtype=dtype)
    torch_low_rank = td.LowRankMultivariateNormal(p.mean, p.factors, p.var)
    torch.testing.assert_close(p.log_prob(x), torch_low_rank.log_prob(x), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(p.entropy(), torch_low_rank.entropy(), rtol=tolerance, atol=tolerance)
    dense = FullGaussian(p.mean, p.factors @ p.factors.T + torch.diag(p.var))  # eq-dist-factors
    torch.testing.assert_close(p.log_prob(x), dense.log_prob(x), rtol=10 * tolerance, atol=10 * tolerance)


def test_factor_analysis_finds_the_covariance_that_made_the_data():
    truth = _analyser()
    x = truth.sample(20_000, torch.Generator().manual_seed(0))
    found, everyone = FactorAnalyser.start(x, Q), torch.ones(len(x), dtype=F64)
    for _ in range(200):
        found = found.refit(x, everyone, 1e-6)
    want, got = (p.factors @ p.factors.T + torch.diag(p.var) for p in (truth, found))
    assert (got - want).norm() / want.norm() < 0.05
    assert found.log_prob(x).mean() >= truth.log_prob(x).mean()


def test_rows_of_weight_zero_count_for_nothing():
    p, x = _analyser(), _clusters(50)
    w = torch.rand(50, dtype=F64)
    w[20:] = 0
    a, b = p.refit(x, w, 1e-6), p.refit(x[:20], w[:20], 1e-6)
    for name in ("mean", "factors", "var"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name))


def test_samples_of_the_factors_alone_lie_in_their_plane():
    p = _analyser()
    x = p.sample(50, torch.Generator().manual_seed(0), noise=False)
    assert torch.linalg.matrix_rank(x - p.mean) == Q
