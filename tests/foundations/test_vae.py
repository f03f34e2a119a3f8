"""The VAE's distributions and network: parity with torch and diffusers, dependence, known mistakes, bad input."""

import math

import pytest
import torch
from torch import distributions as D
from torch import nn

from companion.data import digits
from companion.foundations.vae import (
    VAE,
    BernoulliLikelihood,
    GaussianLikelihood,
    GaussianPosterior,
    binarise,
    mlp_vae,
)
from tests.conftest import gen, rejects


@pytest.fixture
def q() -> GaussianPosterior:
    torch.manual_seed(1)
    return GaussianPosterior(torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64))


def as_torch(q: GaussianPosterior) -> D.Normal:
    return D.Normal(q.mean, torch.exp(q.logvar / 2))


class TestParity:
    def test_kl_is_summed_over_latents_I1(self, q):
        """Against torch: the KL of each latent, and of the example as their sum, not their mean."""
        want = D.kl_divergence(as_torch(q), D.Normal(torch.zeros(3, 5).double(), torch.ones(3, 5).double()))
        torch.testing.assert_close(q.kl_per_latent(), want, rtol=0, atol=1e-12)

    def test_log_densities_carry_their_constants_I63(self, q):
        """Not only their differences: the values themselves equal torch.distributions'."""
        z, output = torch.randn(3, 5).double(), torch.randn(3, 7).double()
        torch.testing.assert_close(q.log_prob(z), as_torch(q).log_prob(z).sum(-1), rtol=0, atol=1e-10)
        x = torch.randn(3, 7).double()
        got = GaussianLikelihood(0.3).double().log_prob(output, x)
        torch.testing.assert_close(got, D.Normal(output, 0.3).log_prob(x).sum(-1), rtol=1e-7, atol=1e-6)
        x = torch.bernoulli(torch.full((3, 7), 0.4)).double()
        got = BernoulliLikelihood().log_prob(output, x)
        torch.testing.assert_close(got, D.Bernoulli(logits=output).log_prob(x).sum(-1), rtol=0, atol=1e-10)

    def test_equals_diffusers_on_feature_maps(self):
        """Latents may have any shape; the clamp of the log-variance is diffusers', and so are KL and draws."""
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        parameters = torch.randn(2, 6, 4, 5) * 20
        model = VAE(nn.Identity(), nn.Identity(), GaussianLikelihood(), (6, 4, 5), (3, 4, 5))
        ours, theirs = model.encode(parameters), DiagonalGaussianDistribution(parameters)
        assert (parameters[:, 3:] > 20).any() and (parameters[:, 3:] < -30).any()
        torch.testing.assert_close(ours.mean, theirs.mean)
        torch.testing.assert_close(ours.logvar, theirs.logvar)
        torch.testing.assert_close(ours.kl_per_latent().flatten(1).sum(1), theirs.kl(), rtol=1e-6, atol=1e-5)
        torch.testing.assert_close(ours.sample(gen()), theirs.sample(gen()), rtol=1e-6, atol=1e-5)

    def test_printed_equations_I60(self, q):
        """``eq-gaussian-kl`` and ``eq-reparameterisation`` as the lesson prints them, number by number."""
        eps = torch.randn(3, 5, dtype=torch.float64)
        for i in range(3):
            for j in range(5):
                mu, s = float(q.mean[i, j]), float(q.logvar[i, j])
                sigma2 = math.exp(s)
                assert float(q.kl_per_latent()[i, j]) == pytest.approx(0.5 * (mu**2 + sigma2 - 1 - math.log(sigma2)))
                assert float(q.at(eps)[i, j]) == pytest.approx(mu + math.sqrt(sigma2) * float(eps[i, j]))


class TestTruth:
    def test_variance_of_draws_is_exp_logvar_I3(self):
        """exp(logvar) is the variance; mistaken for the standard deviation, 0.09 would become 0.0081."""
        logvar = torch.tensor([math.log(0.09), math.log(4.0)])
        z = GaussianPosterior(torch.zeros(100_000, 2), logvar.expand(100_000, 2)).sample(gen())
        torch.testing.assert_close(z.var(0), logvar.exp(), rtol=0.02, atol=0)

    def test_gradients_reach_mean_and_logvar(self):
        mean, logvar = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
        q = GaussianPosterior(mean, logvar)
        eps = torch.randn(2, 3)
        q.at(eps).sum().backward()
        torch.testing.assert_close(mean.grad, torch.ones(2, 3))
        torch.testing.assert_close(logvar.grad, eps / 2)

    def test_kl_equals_its_monte_carlo_estimate(self, q):
        many = GaussianPosterior(q.mean[:1].expand(200_000, -1), q.logvar[:1].expand(200_000, -1))
        z = many.sample(gen())
        prior = D.Normal(0.0, 1.0).log_prob(z).sum(1)
        want = float((many.log_prob(z) - prior).mean())
        assert float(q.kl_per_latent()[0].sum()) == pytest.approx(want, abs=0.03)

    def test_binarised_pixels_have_the_brightness_as_mean(self):
        images = torch.tensor([-1.0, -0.5, 0.0, 1.0]).reshape(1, 1, 2, 2).expand(40_000, 1, 2, 2)
        x = binarise(images, gen())
        assert x.shape == (40_000, 4) and set(x.unique().tolist()) == {0.0, 1.0}
        torch.testing.assert_close(x.mean(0), torch.tensor([0.0, 0.25, 0.5, 1.0]), rtol=0, atol=0.01)


class TestDependence:
    def test_evaluation_is_deterministic_and_uses_the_mean_I4(self):
        """In evaluation mode no noise is left: the code is mu, twice the same; in training mode it is drawn."""
        model, x = mlp_vae(6, 3, BernoulliLikelihood(), (4,)), torch.bernoulli(torch.full((5, 6), 0.5))
        model.eval()
        torch.testing.assert_close(model.latents(x), model.encode(x).mean, rtol=0, atol=0)
        torch.testing.assert_close(model(x), model.decode(model.encode(x).mean), rtol=0, atol=0)
        torch.testing.assert_close(model(x, gen(1)), model(x, gen(2)), rtol=0, atol=0)
        mean = model.encode(x).mean
        model.train()
        torch.testing.assert_close(model.encode(x).mean, mean, rtol=0, atol=0)
        assert not torch.equal(model(x, gen(1)), model(x, gen(2)))

    def test_an_example_depends_on_itself_alone(self):
        model, x = mlp_vae(6, 3, GaussianLikelihood()).eval(), torch.randn(5, 6)
        changed = x.clone()
        changed[2] += 1
        same = torch.arange(5) != 2
        torch.testing.assert_close(model(x)[same], model(changed)[same])
        assert not torch.allclose(model(x)[2], model(changed)[2])

    def test_decoded_bernoulli_means_are_probabilities(self):
        out = mlp_vae(6, 3, BernoulliLikelihood()).sample(50, gen())
        assert out.shape == (50, 6) and (out > 0).all() and (out < 1).all()

    def test_sigma_is_trained_only_if_learned(self):
        assert not any(p.requires_grad for p in GaussianLikelihood(0.5).parameters())
        assert [p.requires_grad for p in GaussianLikelihood(0.5, learned=True).parameters()] == [True]
        assert float(GaussianLikelihood(0.5).sigma) == pytest.approx(0.5)

    def test_no_hidden_layer_means_linear(self):
        model = mlp_vae(6, 3, GaussianLikelihood(), ()).eval()
        a, b, zero = torch.randn(1, 6), torch.randn(1, 6), torch.zeros(1, 6)
        torch.testing.assert_close(model(a + b), model(a) + model(b) - model(zero))


class TestBadInput:
    def test_grey_values_are_not_bernoulli(self):
        with rejects("0 and 1"):
            BernoulliLikelihood().check(torch.tensor([[0.0, 0.5]]))

    @pytest.mark.parametrize("bad", [torch.full((1, 1, 2, 2), 255.0), torch.zeros(0, 1, 2, 2)])
    def test_binarise_wants_model_images(self, bad):
        with rejects("images"):
            binarise(bad, gen())

    def test_binarise_refuses_nan_and_whole_numbers(self):
        with rejects("NaN"):
            binarise(torch.full((1, 1, 2, 2), math.nan), gen())
        with rejects("floating"):
            binarise(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), gen())

    @pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
    def test_sigma_is_positive(self, sigma):
        with rejects("sigma"):
            GaussianLikelihood(sigma)

    @pytest.mark.parametrize(("data", "latent", "hidden"), [(0, 2, ()), (4, 0, ()), (4, -1, ()), (4, 2, (0,))])
    def test_sizes_are_positive(self, data, latent, hidden):
        with rejects("data|latent|hidden"):
            mlp_vae(data, latent, GaussianLikelihood(), hidden)

    def test_an_empty_latent_shape(self):
        with rejects("latent_shape"):
            VAE(nn.Identity(), nn.Identity(), GaussianLikelihood(), (4,), ())
        with rejects("data_shape"):
            VAE(nn.Identity(), nn.Identity(), GaussianLikelihood(), (), (2,))

    def test_an_encoder_of_another_size(self):
        with rejects("encoder"):
            VAE(nn.Linear(4, 3), nn.Identity(), GaussianLikelihood(), (4,), (2,)).encode(torch.zeros(3, 4))

    def test_a_draw_needs_a_generator(self):
        with rejects("generator"):
            mlp_vae(4, 2, GaussianLikelihood()).train()(torch.randn(2, 4))

    def test_sample_needs_a_count(self):
        with rejects("n"):
            mlp_vae(4, 2, GaussianLikelihood()).sample(0, gen())

    @pytest.mark.parametrize("bad", [torch.randn(2, 5), torch.randn(4), torch.randn(2, 4, dtype=torch.float64)])
    def test_wrong_shape_or_dtype_of_x(self, bad):
        with rejects("x"):
            mlp_vae(4, 2, GaussianLikelihood()).eval().encode(bad)

    def test_wrong_shape_of_z(self):
        with rejects("z"):
            mlp_vae(4, 2, GaussianLikelihood()).decode(torch.randn(3, 4))

    def test_a_likelihood_does_not_broadcast(self):
        for likelihood in (GaussianLikelihood(), BernoulliLikelihood()):
            with rejects("x"):
                likelihood.log_prob(torch.zeros(3, 4), torch.zeros(3, 1))


def test_digits_binarise_to_rows():
    x = binarise(digits("test", limit=7).images, gen())
    assert x.shape == (7, 784)


@pytest.mark.parametrize("size", [(1, 6, 6), (3, 5, 8)])
def test_no_image_size_is_hard_wired_I57(size: tuple[int, int, int]) -> None:
    """Square and oblong, grey and colour images."""
    channels, height, width = size
    model = VAE(
        encoder=nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 8)),
        decoder=nn.Sequential(nn.Linear(4, channels * height * width), nn.Unflatten(1, size)),
        likelihood=GaussianLikelihood(1.0),
        data_shape=size,
        latent_shape=(4,),
    )
    assert model(torch.randn(2, *size), gen()).shape == (2, *size)
    assert model.sample(3, gen()).shape == (3, *size)
