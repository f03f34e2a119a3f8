"""Monte Carlo estimates and their standard errors."""

import math

import pytest
import torch

from companion.foundations.distributions.families import Bernoulli, DiagonalGaussian
from companion.foundations.distributions.monte_carlo import Estimate, kl_monte_carlo, monte_carlo

F64 = torch.float64
PAIRS = {
    "gaussian": lambda: DiagonalGaussian(torch.randn(5, dtype=F64), torch.rand(5, dtype=F64) + 0.1),
    "bernoulli": lambda: Bernoulli(3 * torch.randn(5, dtype=F64)),
}


def test_the_error_is_the_spread_over_root_n_I60() -> None:
    x = torch.randn(400, 1_000, dtype=F64) * 3 + 1
    runs = [monte_carlo(row) for row in x]
    assert isinstance(runs[0], Estimate)
    torch.testing.assert_close(runs[0].value, x[0].mean().item())
    torch.testing.assert_close(runs[0].error, x[0].std().item() / math.sqrt(1_000))  # eq-dist-monte-carlo
    inside = [abs(r.value - 1) < 1.96 * r.error for r in runs]
    assert 0.92 < sum(inside) / len(inside) < 0.98


@pytest.mark.parametrize("kind", PAIRS)
def test_the_estimated_kl_agrees_with_the_closed_form(kind: str) -> None:
    p, q = PAIRS[kind](), PAIRS[kind]()
    estimate = kl_monte_carlo(p, q, 20_000, torch.Generator().manual_seed(4))
    assert abs(estimate.value - p.kl(q)) < 4 * estimate.error
