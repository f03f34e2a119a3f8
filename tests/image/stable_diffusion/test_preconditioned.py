"""The preconditioned denoiser: what it is before training, the printed formula, and what its network sees and is asked for."""

import pytest
import torch

from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import RectifiedFlow, q_sample
from companion.image.stable_diffusion.config import TextUNetConfig
from companion.image.stable_diffusion.linear_autoencoder import normal_denoiser
from companion.image.stable_diffusion.preconditioned import Preconditioned
from companion.image.stable_diffusion.unet import TextUNet
from tests.conftest import gen, rejects

PATH = RectifiedFlow()
SPREAD = torch.tensor([3.0, 0.2, 1.0])
N = 4000
DATA = SPREAD[:, None, None] * torch.randn(N, 3, 2, 2, generator=gen(1))
T = 0.02 + 0.96 * torch.rand(N, generator=gen(2))
NOISY = q_sample(PATH, DATA, T, torch.randn(DATA.shape, generator=gen(3)))
TEXT = torch.randn(1, 2, 5, generator=gen(4)).expand(N, -1, -1)


def denoiser() -> Preconditioned:
    model = Preconditioned(
        TextUNet(TextUNetConfig(3, 5, (4, 4), (True, False), (2, 2), groups=2, time_scale=100.0)), PATH
    )
    model.measure(DATA)
    return model.eval()


@torch.no_grad()
def test_before_training_it_is_the_best_line() -> None:
    model = denoiser()
    torch.testing.assert_close(model.spread, SPREAD, rtol=0.05, atol=0)
    model.spread.copy_(SPREAD)
    want = normal_denoiser(PATH, SPREAD**2)(NOISY, T).x0
    torch.testing.assert_close(model(NOISY, T, TEXT), want, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_network_sees_and_is_asked_for_numbers_that_spread_by_1_in_every_channel(monkeypatch) -> None:
    """And what it says enters as printed: were it right, the latents would come out."""
    model, seen = denoiser(), []
    monkeypatch.setattr(model.inner, "forward", lambda z, t, states, mask: seen.append(z) or torch.zeros_like(z))
    line = model(NOISY, T, TEXT)
    alpha, sigma = PATH.alpha_sigma(T, DATA)
    s = model.spread[:, None, None]
    ask = (DATA - line) * (alpha**2 * s**2 + sigma**2).sqrt() / (sigma * s)
    for numbers in (seen[0], ask):
        torch.testing.assert_close(numbers.std((0, 2, 3)), torch.ones(3), rtol=0.05, atol=0)
    monkeypatch.setattr(model.inner, "forward", lambda z, t, states, mask: ask)
    torch.testing.assert_close(model(NOISY, T, TEXT), DATA, rtol=1e-4, atol=1e-4)


def test_at_the_data_it_returns_them_and_at_noise_it_sees_no_data() -> None:
    model = denoiser()
    torch.testing.assert_close(model(DATA[:3], torch.ones(3), TEXT[:3]), DATA[:3])
    assert (model(DATA[:3], torch.zeros(3), TEXT[:3]) == 0).all()


def test_the_loss_of_the_velocity_is_finite_next_to_the_data_and_gradients_reach_all_of_the_network() -> None:
    model = denoiser()
    torch.nn.init.normal_(model.inner.conv_out.weight, std=0.1, generator=gen())
    late = DenoisingLoss(PATH, "x0", "velocity", times=lambda n, g, like: torch.full((n,), 0.9999))
    loss = late(model, (DATA[:64], TEXT[:64]), gen())
    loss.backward()
    assert loss.item() == pytest.approx(float((SPREAD**2 / SPREAD**2).mean()), rel=0.5)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_spread_is_about_0_and_of_latents_in_16_bits() -> None:
    model = denoiser()
    model.measure(DATA + 2)
    torch.testing.assert_close(model.spread, (SPREAD**2 + 4).sqrt(), rtol=0.05, atol=0)
    model.measure((100 * DATA).half())
    torch.testing.assert_close(model.spread, 100 * SPREAD, rtol=0.05, atol=0)


def test_time_and_text_reach_the_network_as_they_are(monkeypatch) -> None:
    model, seen = denoiser(), []
    monkeypatch.setattr(model.inner, "forward", lambda z, *told: seen.extend(told) or torch.zeros_like(z))
    mask = torch.rand(len(T), 2, generator=gen(5)) > 0.5
    model(NOISY, T, TEXT, mask)
    assert all(torch.equal(got, want) for got, want in zip(seen, (T, TEXT, mask), strict=True))


def test_latents_of_other_channels_or_without_numbers_are_not_measured() -> None:
    for wrong in (DATA[:, :1], DATA.new_full((2, 3, 2, 2), float("nan"))):
        with rejects("latents"):
            denoiser().measure(wrong)
