"""The model of painted digits: codes, guidance in an interval, and that it draws what its weights say. Seconds of training."""

import pytest
import torch

from companion.ethics.bias.digits import is_blue, skewed_digits
from companion.ethics.bias.latent_flow import (
    LATENT,
    NO_LABEL,
    Codec,
    LabelledVelocity,
    draw_painted_digits,
    fit_codec,
    fit_flow,
    untrained_vae,
)
from companion.ethics.bias.measures import class_shares, independence_weights
from companion.training import TrainConfig


def untrained_codec() -> Codec:
    torch.manual_seed(0)
    return Codec(untrained_vae(8).eval(), torch.zeros(LATENT), torch.tensor(1.0))


class Recorder(LabelledVelocity):
    """A velocity of zero that writes down at which times it was asked without a label."""

    def __init__(self) -> None:
        super().__init__()
        self.without: list[float] = []

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if (labels == NO_LABEL).any():
            self.without.append(float(t[0]))
        return torch.zeros_like(x)


def test_guidance_only_in_the_interval() -> None:
    labels = torch.tensor([3, 4])
    for guide_from, wanted in ((0.0, 19), (0.5, 10), (1.0, 0)):
        asked = Recorder()
        draw_painted_digits(
            untrained_codec(), asked, labels, torch.Generator(), scale=2.0, guide_from=guide_from, steps=10
        )
        assert len(asked.without) == wanted
        assert all(t >= guide_from - 1e-6 for t in asked.without)


def test_no_guidance_asks_once() -> None:
    asked = Recorder()
    draw_painted_digits(untrained_codec(), asked, torch.tensor([3]), torch.Generator(), scale=1.0)
    assert asked.without == []


def test_velocity_depends_on_its_own_digit_and_time() -> None:
    torch.manual_seed(0)
    net, x = LabelledVelocity(width=16), torch.randn(3, LATENT)
    t, labels = torch.full((3,), 0.5), torch.tensor([1, 2, 3])
    base = net(x, t, labels)
    for other in (net(x, torch.tensor([0.9, 0.5, 0.5]), labels), net(x, t, torch.tensor([7, 2, 3]))):
        assert not torch.allclose(other[0], base[0])
        assert torch.allclose(other[1:], base[1:], atol=1e-6)


@pytest.mark.slow
def test_weights_decide_what_is_drawn() -> None:
    """Codes whose first number is the ink: trained with independence weights, classes lose what sets them apart."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(10).repeat(60)
    blue = torch.rand(600, generator=generator) < torch.where(labels < 5, 0.1, 0.9)
    codes = 0.3 * torch.randn(600, LATENT, generator=generator)
    codes[:, 0] += torch.where(blue, 2.0, -2.0)
    config = TrainConfig(steps=250, batch_size=128, lr=5e-3, ema=0.98)

    class Sign(Codec):
        def images(self, codes: torch.Tensor) -> torch.Tensor:
            return codes[:, :1, None, None].expand(-1, 3, 28, 28)

    codec = untrained_codec()
    sign = Sign(codec.vae, codec.mean, codec.spread)
    gaps = {}
    for name, weights in (("as they are", None), ("weighted", independence_weights(labels, blue, 10))):
        flow = fit_flow(codes, labels, config, weights=weights)
        drawn = draw_painted_digits(sign, flow, labels, torch.Generator().manual_seed(2), steps=8)[:, 0, 0, 0] > 0
        shares = class_shares(labels, drawn, 10)
        gaps[name] = float(shares[5:].mean() - shares[:5].mean())
    assert gaps["as they are"] > 0.6
    assert abs(gaps["weighted"]) < 0.25


@pytest.mark.slow
def test_codec_keeps_the_ink_better_than_a_guess() -> None:
    data = skewed_digits("train", torch.Generator().manual_seed(0), limit=600)
    codec = fit_codec(data.images, TrainConfig(steps=150, batch_size=64, lr=3e-3))
    codes = codec.codes(data.images)
    assert float(codes.mean(0).abs().max()) < 1e-4
    assert float(codes.std()) == pytest.approx(1, abs=0.05)
    assert float((is_blue(codec.images(codes)) == data.blue).float().mean()) > 0.95
