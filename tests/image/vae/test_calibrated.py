"""The best sigma: by hand, by search, and what its gradient is."""

import pytest
import torch

from companion.foundations.vae import GaussianLikelihood, Likelihood
from companion.image.vae.calibrated import CalibratedGaussian
from tests.conftest import gen, rejects


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 1, 3, 5, generator=gen(1)), 0.7 * torch.randn(4, 1, 3, 5, generator=gen(2))


def test_in_training_no_other_sigma_is_likelier() -> None:
    output, x = pictures()
    best = CalibratedGaussian().train().log_prob(output, x)
    sigma = float((x - output).square().mean().sqrt())
    torch.testing.assert_close(best, GaussianLikelihood(sigma).log_prob(output, x))
    for factor in (0.8, 0.97, 1.03, 1.3):
        assert GaussianLikelihood(factor * sigma).log_prob(output, x).sum() < best.sum()


def test_the_gradient_is_the_same_as_if_it_passed_through_sigma() -> None:
    """-D/2 log of the mean square, differentiated in full."""
    output, x = pictures()
    a, b = output.clone().requires_grad_(), output.clone().requires_grad_()
    CalibratedGaussian().train().log_prob(a, x).sum().backward()
    (-0.5 * x.numel() * (x - b).square().mean().log()).backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_evaluation_uses_the_running_mean_and_does_not_move_it() -> None:
    output, x = pictures()
    likelihood = CalibratedGaussian(0.5, decay=0.9).train()
    likelihood.log_prob(output, x)
    expected = 0.9 * 0.25 + 0.1 * float((x - output).square().mean())
    assert float(likelihood.variance) == pytest.approx(expected)
    likelihood.eval()
    alone = likelihood.log_prob(output[:1], x[:1])
    torch.testing.assert_close(alone, likelihood.log_prob(output, x)[:1])
    torch.testing.assert_close(alone, GaussianLikelihood(expected**0.5).log_prob(output[:1], x[:1]))
    assert float(likelihood.sigma) == pytest.approx(expected**0.5)


def test_it_is_a_likelihood_of_the_package() -> None:
    likelihood = CalibratedGaussian()
    assert isinstance(likelihood, Likelihood) and not list(likelihood.parameters())
    assert torch.equal(likelihood.mean(torch.ones(2, 3)), torch.ones(2, 3))
    likelihood.check(torch.full((2,), 7.0))


def test_an_exact_reconstruction_has_a_finite_density() -> None:
    likelihood, x = CalibratedGaussian().train(), torch.ones(2, 3)
    assert torch.isfinite(likelihood.log_prob(x, x)).all() and 0 < float(likelihood.variance) < 1


def test_bad_input() -> None:
    with rejects("sigma"):
        CalibratedGaussian(0.0)
    likelihood = CalibratedGaussian().train()
    with rejects("NaN or infinite"):
        likelihood.log_prob(torch.zeros(2, 3), torch.full((2, 3), torch.nan))
    assert float(likelihood.variance) == 1
    with rejects("x: got shape"):
        CalibratedGaussian().log_prob(torch.zeros(2, 3), torch.zeros(2, 4))
