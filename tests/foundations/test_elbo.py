"""The evidence lower bound and its kin: closed forms of the linear-Gaussian model, units, known mistakes, learning."""

import math

import pytest
import torch
from torch import Tensor, nn

from companion.data import digits
from companion.foundations.elbo import ELBO, elbo, elbo_loss, evaluate, free_bits_loss, iwae, latent_use
from companion.foundations.latent_space.ppca import best_log_likelihood, fit_ppca, latent_nats
from companion.foundations.pca import fit_pca
from companion.foundations.vae import VAE, BernoulliLikelihood, GaussianLikelihood, binarise, mlp_vae
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


def linear_data(n: int = 400) -> Tensor:
    """Seven-dimensional data with three large variances, float64."""
    x = torch.randn(n, 7, generator=gen(3), dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(7, 7, generator=gen(4), dtype=torch.float64)).Q
    return x * torch.tensor([3.0, 2.0, 1.2, 0.4, 0.3, 0.35, 0.3]).double() @ turn + 0.5


def optimal_linear_vae(x: Tensor, latent: int) -> VAE:
    """The linear VAE whose decoder is pPCA's and whose encoder is its exact posterior."""
    truth = fit_ppca(x, latent)
    covariance = truth.posterior(x)[1]
    model = mlp_vae(x.shape[1], latent, GaussianLikelihood(math.sqrt(truth.sigma2)), ()).double()
    with torch.no_grad():
        model.decoder[0].weight.copy_(truth.W)
        model.decoder[0].bias.copy_(truth.mean)
        gain = covariance @ truth.W.T / truth.sigma2
        model.encoder[0].weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
        model.encoder[0].bias.copy_(torch.cat([-gain @ truth.mean, covariance.diagonal().log()]))
        model.likelihood.log_sigma.copy_(torch.tensor(truth.sigma2, dtype=torch.float64).log() / 2)
    return model.eval()


class TestTruth:
    def test_linear_vae_reaches_the_ppca_optimum(self):
        """With the exact posterior there is no gap: at *every* draw log p(x, z) - log q(z | x) is log p(x)."""
        x = linear_data()
        model, truth = optimal_linear_vae(x, 3), fit_ppca(x, 3)
        torch.testing.assert_close(iwae(model, x, 1, gen(5)), truth.log_prob(x), rtol=0, atol=1e-9)
        assert evaluate(model, x.repeat(50, 1), gen())["elbo"] == pytest.approx(
            best_log_likelihood(fit_pca(x).eigenvalues, 3), abs=0.05
        )

    def test_elbo_terms_equal_their_closed_forms_I62(self):
        """Term by term, not only the sum: the KL exactly, the reconstruction over many draws."""
        x = linear_data()
        model, truth, x = optimal_linear_vae(x, 3), fit_ppca(x, 3), x[:5]
        mean, covariance = truth.posterior(x)
        kl = 0.5 * ((mean**2).sum(1) + covariance.trace() - 3 - torch.logdet(covariance))
        many = elbo(model, x.repeat(20_000, 1), gen())
        torch.testing.assert_close(many.kl[:5], kl, rtol=0, atol=1e-9)
        reconstruction = truth.elbo(x, mean, covariance) + kl
        torch.testing.assert_close(many.reconstruction.reshape(-1, 5).mean(0), reconstruction, rtol=0, atol=0.06)

    def test_gap_is_the_kl_from_q_to_the_posterior(self):
        """A wrong encoder costs exactly KL(q || p(z | x)), averaged over draws."""
        x = linear_data()
        model, truth, x = optimal_linear_vae(x, 3), fit_ppca(x, 3), x[:3]
        with torch.no_grad():
            model.encoder[0].bias += torch.tensor([0.3, -0.2, 0.1, 0.4, 0.4, -0.3]).double()
        q = model.encode(x)
        mean, covariance = truth.posterior(x)
        exact = torch.distributions.MultivariateNormal(mean, covariance)
        wrong = torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.logvar.exp()))
        gap = torch.distributions.kl_divergence(wrong, exact)
        assert (gap > 0.1).all()
        values = elbo(model, x.repeat(40_000, 1), gen()).value.reshape(-1, 3).mean(0)
        torch.testing.assert_close(truth.log_prob(x) - values, gap, rtol=0, atol=0.05)

    def test_iwae_rises_with_k_towards_the_likelihood(self):
        x = linear_data()
        model, truth, x = optimal_linear_vae(x, 3), fit_ppca(x, 3), x[:3]
        with torch.no_grad():
            model.encoder[0].bias += torch.tensor([0.1, -0.1, 0.1, 0.5, 0.6, 0.5]).double()
        many = x.repeat(2_000, 1)
        bounds = [iwae(model, many, k, gen(k)).mean() for k in (1, 3, 10, 100)]
        log_p = truth.log_prob(x).mean()
        assert bounds[0] + 0.05 < bounds[1] and bounds[1] < bounds[2] < bounds[3] < log_p + 1e-3
        assert log_p - bounds[3] < 0.01

    def test_iwae_with_one_draw_is_the_elbo(self):
        """Both are unbiased estimates of one number."""
        x = linear_data(2)
        model = mlp_vae(7, 3, GaussianLikelihood(), (5,)).double()
        many = x.repeat(20_000, 1)
        want = elbo(model, many, gen(1)).value.reshape(-1, 2).mean(0)
        torch.testing.assert_close(iwae(model, many, 1, gen(2)).reshape(-1, 2).mean(0), want, rtol=0, atol=0.3)

    def test_printed_equation_of_the_iwae_bound_I60(self):
        """``eq-iwae`` as printed, with torch's densities and the same draws; chunks only save memory."""
        model = mlp_vae(6, 3, BernoulliLikelihood(), (4,)).double()
        x = torch.bernoulli(torch.full((4, 6), 0.5)).double()
        with torch.no_grad():
            q = model.encode(x)
            z = torch.randn(7 * 4, 3, generator=gen(9), dtype=torch.float64).reshape(7, 4, 3) * q.std + q.mean
            normal = torch.distributions.Normal
            joint = normal(0.0, 1.0).log_prob(z).sum(-1)
            joint += torch.distributions.Bernoulli(logits=model.decoder(z)).log_prob(x.expand(7, 4, 6)).sum(-1)
            ratio = (joint - normal(q.mean, q.std).log_prob(z).sum(-1)).exp()
        torch.testing.assert_close(iwae(model, x, 7, gen(9)), ratio.mean(0).log(), rtol=0, atol=1e-10)
        chunked = iwae(model, x, 4_001, gen(9), chunk=50)
        torch.testing.assert_close(chunked, iwae(model, x, 4_001, gen(8)), rtol=0, atol=0.06)

    def test_kl_of_a_trained_linear_vae_fills_from_the_largest_eigenvalue(self):
        """``eq-water-filling``: with sigma2 = 2, two of three latents survive; the third collapses, by the optimum."""
        x = linear_data().float()
        torch.manual_seed(0)
        model = mlp_vae(7, 3, GaussianLikelihood(math.sqrt(2)), ())
        config = TrainConfig(steps=900, batch_size=400, lr=0.02, weight_decay=0.0, clip=100.0, ema=0.98, final_lr=0.01)
        model = train(model, elbo_loss, (x,), config).model
        nats = latent_use(model, x)[0].sort(descending=True).values
        want = latent_nats(fit_pca(x).eigenvalues[:3], 2.0)
        assert want[1] > 0.2 and want[2] == 0
        torch.testing.assert_close(nats, want, rtol=0, atol=0.03)


class TestUnits:
    def test_terms_are_sums_per_image_I2(self):
        """Twice the pixels: twice the reconstruction, the same KL. Twice the batch: the same loss."""
        model = mlp_vae(6, 3, BernoulliLikelihood(), ())
        x = torch.bernoulli(torch.full((4, 6), 0.5))
        with torch.no_grad():
            model.decoder[0].weight.zero_()  # what z is does not matter then
        wide = mlp_vae(12, 3, BernoulliLikelihood(), ())
        with torch.no_grad():
            wide.encoder[0].weight.copy_(torch.cat([model.encoder[0].weight, torch.zeros(6, 6)], 1))
            wide.encoder[0].bias.copy_(model.encoder[0].bias)
            wide.decoder[0].weight.zero_()
            wide.decoder[0].bias.copy_(model.decoder[0].bias.repeat(2))
        one, two = elbo(model, x, gen()), elbo(wide, torch.cat([x, x], 1), gen())
        torch.testing.assert_close(two.reconstruction, 2 * one.reconstruction)
        torch.testing.assert_close(two.kl, one.kl)
        torch.testing.assert_close(elbo_loss(model, (x,), gen()), elbo_loss(model, (x.repeat(3, 1),), gen()))

    def test_kl_is_summed_over_latents_I1(self):
        parts = ELBO(torch.zeros(2), torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]]))
        assert parts.kl.tolist() == [6.0, 1.5]
        assert parts.value.tolist() == [-6.0, -1.5]

    @pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
    def test_evaluation_does_not_depend_on_batch_size_I5(self, batch_size):
        model = mlp_vae(6, 3, BernoulliLikelihood(), (4,)).double()
        x = torch.bernoulli(torch.full((10, 6), 0.5, dtype=torch.float64), generator=gen())
        got, want = evaluate(model, x, gen(7), batch_size=batch_size), elbo(model.requires_grad_(False), x, gen(7))
        assert got["elbo"] == pytest.approx(float(want.value.mean()), abs=1e-9)
        assert got["reconstruction"] == pytest.approx(float(want.reconstruction.mean()), abs=1e-9)
        assert got["kl"] == pytest.approx(float(want.kl.mean()), abs=1e-9)

    def test_mean_squared_error_is_a_gaussian_with_a_huge_variance_I2(self):
        """The mean over D pixels is the log-density of sigma^2 = D / 2, but for a constant: the silent beta."""
        x, output = torch.randn(3, 784).double(), torch.randn(3, 784).double()
        density = GaussianLikelihood(math.sqrt(392)).double().log_prob(output, x)
        constant = 0.5 * 784 * math.log(2 * math.pi * 392)
        torch.testing.assert_close(-density - constant, ((x - output) ** 2).mean(1), rtol=0, atol=1e-3)

    def test_formulas_match_an_independent_derivation_I56(self):
        """``eq-elbo`` and ``eq-free-bits`` as printed, in float64, from torch's densities; all finite."""
        model = mlp_vae(6, 3, GaussianLikelihood(0.7), (4,)).double()
        x = torch.randn(5, 6).double()
        got = elbo(model, x, gen(2))
        q = model.encode(x)
        qt = torch.distributions.Normal(q.mean, torch.exp(0.5 * q.logvar))
        z = q.mean + torch.exp(0.5 * q.logvar) * torch.randn(5, 3, generator=gen(2), dtype=torch.float64)
        log_px = torch.distributions.Normal(model.decoder(z), 0.7).log_prob(x).sum(1)
        kl = torch.distributions.kl_divergence(qt, torch.distributions.Normal(torch.zeros(3).double(), 1.0))
        torch.testing.assert_close(got.value, log_px - kl.sum(1), rtol=1e-6, atol=1e-6)
        free = -log_px.mean() + torch.maximum(kl.mean(0), torch.tensor(0.4).double()).sum()
        torch.testing.assert_close(free_bits_loss(got, 0.4), free, rtol=1e-6, atol=1e-6)
        assert got.value.isfinite().all()

    def test_free_bits_of_zero_are_the_elbo(self):
        parts = ELBO(torch.tensor([-3.0, -5.0]), torch.tensor([[0.1, 2.0], [0.3, 1.0]]))
        torch.testing.assert_close(free_bits_loss(parts, 0.0), -parts.value.mean())
        assert float(free_bits_loss(parts, 1.0)) == pytest.approx(4 + 1.0 + 1.5)

    def test_free_bits_bound_the_mean_of_a_batch_and_not_each_example(self):
        """A latent that says nothing of one image and much of another is used: its mean counts as it is."""
        parts = ELBO(torch.zeros(2), torch.tensor([[0.0, 0.0], [4.0, 0.5]]))
        assert float(free_bits_loss(parts, 1.0)) == pytest.approx(2.0 + 1.0)

    def test_latent_use_tells_used_from_unused(self):
        model = mlp_vae(2, 2, GaussianLikelihood(), ())
        with torch.no_grad():
            model.encoder[0].weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
            model.encoder[0].bias.copy_(torch.tensor([0.0, 0.0, math.log(0.5), 0.0]))
        x = torch.tensor([[1.0, 3.0], [-1.0, 5.0]])
        nats, variance = latent_use(model, x)
        torch.testing.assert_close(variance, torch.tensor([8.0, 0.0]))
        torch.testing.assert_close(nats, torch.tensor([0.5 * (4 + 0.5 - 1 - math.log(0.5)), 0.0]))

    def test_only_batches_of_examples_matter_not_their_order(self):
        model = mlp_vae(6, 3, BernoulliLikelihood(), (4,)).double()
        x = torch.bernoulli(torch.full((4, 6), 0.5)).double()
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(elbo(model, x[order], gen()).kl, elbo(model, x, gen()).kl[order])

    def test_the_model_is_left_as_it_was(self):
        model = mlp_vae(6, 3, BernoulliLikelihood(), (4,)).train()
        x = torch.bernoulli(torch.full((4, 6), 0.5))
        for result in (iwae(model, x, 3, gen()), *latent_use(model, x)):
            assert not result.requires_grad
        evaluate(model, x, gen())
        assert model.training


def test_learns_digits_better_than_independent_pixels():
    """150 steps, seconds: at least 35 nats a test image above the best product of Bernoullis."""
    images, held_out = digits("train", limit=2_000).images, digits("test", limit=300).images
    x = binarise(held_out, gen(1))
    ink = ((images.flatten(1) + 1) / 2).mean(0).clamp(0.002, 0.998)
    baseline = float(torch.distributions.Bernoulli(ink).log_prob(x).sum(1).mean())
    torch.manual_seed(0)
    model = mlp_vae(784, 10, BernoulliLikelihood(), (100,))

    def batch(n: int, generator: torch.Generator) -> tuple[Tensor]:
        return (binarise(images[torch.randint(len(images), (n,), generator=generator)], generator),)

    model = train(model, elbo_loss, batch, TrainConfig(steps=300, batch_size=64, lr=5e-3, clip=100.0)).model
    assert evaluate(model, x, gen())["elbo"] > baseline + 35


class TestBadInput:
    @pytest.fixture
    def model(self) -> VAE:
        return mlp_vae(4, 2, BernoulliLikelihood())

    @pytest.mark.parametrize(
        ("x", "words"),
        [
            (torch.full((2, 4), 0.5), "0 and 1"),
            (torch.full((2, 4), math.nan), "NaN"),
            (torch.zeros(0, 4), "empty axis"),
            (torch.zeros(4), "batch 4"),
            (torch.zeros(2, 5), "4"),
            (torch.zeros(2, 4, dtype=torch.int64), "floating"),
            ([[0.0, 1.0]], "list"),
        ],
    )
    def test_every_way_in_checks_x(self, model, x, words):
        for call in (
            lambda: elbo(model, x, gen()),
            lambda: evaluate(model, x, gen()),
            lambda: iwae(model, x, 2, gen()),
            lambda: latent_use(model, x),
        ):
            with rejects(words):
                call()

    @pytest.mark.parametrize("k", [0, -1, 1.5])
    def test_draws_and_chunks_are_counts(self, model, k):
        with rejects("k"):
            iwae(model, torch.zeros(2, 4), k, gen())
        with rejects("chunk"):
            iwae(model, torch.zeros(2, 4), 2, gen(), chunk=k)
        with rejects("batch_size"):
            evaluate(model, torch.zeros(2, 4), gen(), batch_size=k)

    @pytest.mark.parametrize("free", [-0.1, math.inf])
    def test_free_bits_are_not_negative(self, free):
        with rejects("free"):
            free_bits_loss(ELBO(torch.zeros(1), torch.zeros(1, 2)), free)

    def test_one_example_has_no_variance(self, model):
        with rejects("at least 2"):
            latent_use(model, torch.zeros(1, 4))

    def test_a_decoder_of_another_size(self):
        model = VAE(nn.Linear(4, 4), nn.Linear(2, 1), GaussianLikelihood(), (4,), (2,))
        with rejects("x"):
            elbo(model, torch.zeros(3, 4), gen())
