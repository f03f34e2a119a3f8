"""Denoisers: the exact one against the score of a mixture and as the optimum of the loss; a small one memorises."""

import math

import pytest
import torch
from scipy.stats import kstest
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from companion.data import small_digits
from companion.metrics.nearest import nearest
from companion.overview.memorization import PATH, ImageMLP, denoising_loss, exact_denoiser, sample
from companion.training import TrainConfig, train
from tests.conftest import rejects


def points() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    train_set = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    z = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return train_set, z, torch.tensor([0.2, 0.5, 1.0, 2.0, 5.0], dtype=torch.float64)


def test_exact_denoiser_is_the_mixtures_score_by_tweedie() -> None:
    """D*(z) = z + σ² ∇ log p_σ(z), where p_σ puts a Gaussian on every training image: torch's mixture, by autograd."""
    train_set, z, sigmas = points()
    for row, sigma in zip(z, sigmas, strict=True):
        mixture = MixtureSameFamily(Categorical(logits=torch.zeros(7)), Independent(Normal(train_set, sigma), 1))
        at = row[None].clone().requires_grad_()
        (score,) = torch.autograd.grad(mixture.log_prob(at).sum(), at)
        got = exact_denoiser(row[None], sigma.reshape(1), train_set)
        torch.testing.assert_close(got, row[None] + sigma**2 * score, rtol=0, atol=1e-9)


def test_exact_denoiser_is_as_printed_I60() -> None:
    train_set, z, sigmas = points()
    for row, sigma in zip(z, sigmas, strict=True):
        likelihood = torch.stack([torch.exp(-((row - x) ** 2).sum() / (2 * sigma**2)) for x in train_set])
        wanted = sum(w * x for w, x in zip(likelihood / likelihood.sum(), train_set, strict=True))
        torch.testing.assert_close(exact_denoiser(row[None], sigma.reshape(1), train_set)[0], wanted)


def test_nothing_denoises_the_training_set_better() -> None:
    """Its squared error, over fresh noise, beats that of every change of it."""
    train_set, _, _ = points()
    generator = torch.Generator().manual_seed(1)
    x = train_set.repeat(3000, 1)
    sigma = torch.full((len(x),), 0.7, dtype=torch.float64)
    z = x + 0.7 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    best = exact_denoiser(z, sigma, train_set)
    for other in (best * 1.02, best + 0.02, 0.97 * best + 0.03 * z, exact_denoiser(z, sigma * 1.1, train_set)):
        assert (best - x).square().mean() < (other - x).square().mean()


def test_with_the_exact_denoiser_every_sample_is_a_training_image() -> None:
    train_set = small_digits("train", limit=200).images.flatten(1)
    noise = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    made = sample(lambda z, sigma: exact_denoiser(z, sigma, train_set), noise)
    found = nearest(made, train_set)
    assert found.distance.max() < 1e-2
    assert found.index.unique().numel() > 20


def test_sampler_follows_the_closed_path_of_one_image() -> None:
    """One training image a: z(σ) = a + (σ/σ_high)(z_high - a), which Euler steps reproduce exactly."""
    a = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    noise = torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    seen = []

    def denoise(z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append((float(sigma[0]), z))
        return a.expand_as(z)

    torch.testing.assert_close(sample(denoise, noise, 5), a)
    assert [s for s, _ in seen] == pytest.approx([10 * 0.01 ** (i / 5) for i in range(6)])
    for sigma, z in seen:
        torch.testing.assert_close(z, a + sigma / 10 * (10 * noise - a), rtol=1e-5, atol=1e-5)


def test_loss_is_the_printed_one_and_a_perfect_guess_costs_nothing() -> None:
    x = torch.randn(6, 4)

    class Knows(ImageMLP):
        def forward(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            self.seen = (z, sigma)
            return x

    model = Knows(4, 2)
    assert denoising_loss(model, (x,), torch.Generator().manual_seed(0)) == 0
    z, sigma = model.seen
    assert sigma.min() >= 0.1 and sigma.max() <= 10 and len(sigma.unique()) == 6
    torch.testing.assert_close(((z - x) / sigma[:, None]).square().mean(), torch.tensor(1.0), rtol=0, atol=0.7)


def test_noise_levels_are_log_uniform_and_the_noise_is_standard_normal() -> None:
    """The levels' logarithms against the uniform law between both ends, the noise against the normal one (scipy's test)."""
    seen = {}

    class Watches(ImageMLP):
        def forward(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            seen["z"], seen["sigma"] = z, sigma
            return z

    x = torch.randn(4_000, 2)
    denoising_loss(Watches(2, 2), (x,), torch.Generator().manual_seed(0))
    low, high = math.log(PATH.low), math.log(PATH.high)
    levels = (seen["sigma"].log() - low) / (high - low)
    assert kstest(levels.numpy(), "uniform").pvalue > 0.01
    noise = (seen["z"] - x) / seen["sigma"][:, None]
    assert kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
    assert torch.corrcoef(torch.stack([*noise.T, levels])).triu(1).abs().max() < 0.05


def test_the_network_gets_numbers_of_one_size_and_the_logarithm_of_sigma() -> None:
    model, inputs = ImageMLP(3, 4), []
    model.net.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    sigma = torch.tensor([0.1, 1.0, 10.0]).repeat(500)
    z = torch.randn(1_500, 3) + sigma[:, None] * torch.randn(1_500, 3)
    assert model(z, sigma).abs().max() < 1
    torch.testing.assert_close(inputs[0], torch.cat([z / (1 + sigma[:, None] ** 2).sqrt(), sigma.log()[:, None]], 1))
    for level in (0.1, 1.0, 10.0):  # data of unit variance stay so, whatever the noise
        assert abs(float(inputs[0][sigma == level, :3].std()) - 1) < 0.1


def test_network_sees_the_noise_level_and_only_its_own_row() -> None:
    model = ImageMLP(5, 8)
    z, sigma = torch.randn(4, 5), torch.full((4,), 0.5)
    out = model(z, sigma)
    assert not torch.allclose(out, model(z, 2 * sigma))
    changed = torch.cat([z[:1], torch.randn(3, 5)])
    torch.testing.assert_close(model(changed, sigma)[0], out[0])


def test_network_sees_numbers_of_one_size_at_every_noise_level() -> None:
    """Noised images of unit variance are divided by √(1 + σ²), from the lowest level to the highest."""
    model, seen = ImageMLP(64, 8), []
    model.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for level in (0.1, 1.0, 10.0):
        sigma = torch.full((500,), level)
        model(torch.randn(500, 64) + level * torch.randn(500, 64), sigma)
        assert float(seen[-1][:, :64].var()) == pytest.approx(1, abs=0.03)
        torch.testing.assert_close(seen[-1][:, 64], sigma.log())


def test_few_images_are_copied_and_many_are_not() -> None:
    x = small_digits("train").images.flatten(1)
    noise = torch.randn(100, 64, generator=torch.Generator().manual_seed(0))
    near = float(nearest(x[700:], x[:700]).distance.quantile(0.01))
    copied = {}
    for n in (8, 700):
        model = ImageMLP(64, 96)
        config = TrainConfig(steps=700, batch_size=64, lr=4e-3, ema=0.99, weight_decay=0.0)
        made = sample(train(model, denoising_loss, (x[:n],), config).model, noise)
        copied[n] = float((nearest(made, x[:n]).distance < near).float().mean())
    assert copied[8] > 0.4 and copied[700] < 0.05


def test_bad_input() -> None:
    train_set, z, sigmas = points()
    with rejects("sigma: got shape"):
        exact_denoiser(z, sigmas[:2], train_set)
    with rejects("train: got shape"):
        exact_denoiser(z, sigmas, train_set[:, :2])
    with rejects("sigma"):
        exact_denoiser(z, 0 * sigmas, train_set)
    with rejects("dims"):
        ImageMLP(0, 4)
    with rejects("z: got shape"):
        ImageMLP(5, 8)(torch.randn(2, 4), torch.ones(2))
    with rejects("steps: got 0"):
        sample(lambda z, s: z, torch.zeros(2, 3), 0)
    with rejects("NaN"):
        sample(lambda z, s: z, torch.full((2, 3), torch.nan))
