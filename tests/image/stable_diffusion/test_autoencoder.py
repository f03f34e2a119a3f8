"""The autoencoder: equal to diffusers' and its files, the posterior's closed form, the loss's units, learning."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL as Theirs
from torch import nn
from torch.distributions import Normal, kl_divergence

from companion.data.scenes import scenes
from companion.image.stable_diffusion.autoencoder import AutoencoderKL, AutoencoderLoss, Posterior
from companion.image.stable_diffusion.config import AutoencoderConfig
from companion.image.stable_diffusion.latents import squares
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects
from tests.published import published

DEEP = AutoencoderConfig(3, 5, (8, 12, 20), layers=2, groups=4, scale=0.31, shift=0.2)
PLAIN = AutoencoderConfig(2, 3, (6,), groups=3, attention=False, quant_conv=False)


def theirs_of(config: AutoencoderConfig, folder: Path) -> nn.Module:
    levels = len(config.widths)
    model = Theirs(
        config.in_channels, config.in_channels, ("DownEncoderBlock2D",) * levels, ("UpDecoderBlock2D",) * levels,
        config.widths, config.layers, latent_channels=config.latent_channels, norm_num_groups=config.groups,
        scaling_factor=config.scale, shift_factor=config.shift or None, use_quant_conv=config.quant_conv,
        use_post_quant_conv=config.quant_conv, mid_block_add_attention=config.attention,
    )  # fmt: skip
    return published(model, folder)


@pytest.mark.parametrize("config", [DEEP, PLAIN], ids=["deep", "plain"])
def test_equals_diffusers_at_an_oblong_size(config, tmp_path) -> None:
    """Mean, variance, decoded picture and KL, from diffusers' own files."""
    theirs, ours = theirs_of(config, tmp_path), AutoencoderKL.from_pretrained(tmp_path)
    assert ours.config == config and not ours.training
    x = torch.randn(3, config.in_channels, 8, 12)
    with torch.no_grad():
        want, got = theirs.encode(x).latent_dist, ours.encode(x)
        for a, b in ((got.mean, want.mean), (got.std, want.std), (got.log_variance, want.logvar)):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(got.kl(), want.kl(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.decode(got.mean), theirs.decode(want.mean).sample, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours(x), theirs(x).sample, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_reads_attention_of_2022(tmp_path) -> None:
    """The first published files call the maps query, key, value, proj_attn, and hold them as 1×1 convolutions."""
    from safetensors.torch import load_file, save_file

    theirs = theirs_of(DEEP, tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    for name in [name for name in tensors if ".attentions." in name]:
        value, new = tensors.pop(name), name
        for now, was in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
            new = new.replace(f".{now}.", f".{was}.")
        tensors[new] = value[:, :, None, None].contiguous() if value.ndim == 2 else value
    save_file(tensors, file)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(AutoencoderKL.from_pretrained(tmp_path)(x), theirs(x).sample, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        {"act_fn": "relu"},
        {"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D", "DownEncoderBlock2D"]},
        {"out_channels": 4},
        {"use_post_quant_conv": False},
        {"latents_mean": [0.0] * 5},
        {"magic": 1},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_variant_it_lacks_is_named(other, tmp_path) -> None:
    theirs_of(DEEP, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | other))
    with rejects(next(iter(other))):
        AutoencoderKL.from_pretrained(tmp_path)


class TestPosterior:
    q = Posterior(torch.randn(2, 3, 2, 2, generator=gen(1)), torch.randn(2, 3, 2, 2, generator=gen(2)))

    def test_kl_is_torchs_summed_over_a_picture_I1(self) -> None:
        want = kl_divergence(Normal(self.q.mean, self.q.std), Normal(0.0, 1.0)).sum((1, 2, 3))
        torch.testing.assert_close(self.q.kl(), want, rtol=1e-5, atol=1e-5)
        assert Posterior(torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)).kl().item() == 0

    def test_draws_have_its_mean_and_standard_deviation_I3(self) -> None:
        many = Posterior(*(part[:1].expand(20_000, -1, -1, -1) for part in (self.q.mean, self.q.log_variance)))
        drawn = many.sample(gen())
        torch.testing.assert_close(drawn.mean(0), self.q.mean[0], rtol=0, atol=0.05)
        torch.testing.assert_close(drawn.std(0), (0.5 * self.q.log_variance[0]).exp(), rtol=0.03, atol=0)


def test_no_variance_is_beyond_its_bounds() -> None:
    """As in diffusers: the exponential of a larger one would not be finite."""
    model = AutoencoderKL(PLAIN)
    with torch.no_grad():
        model.encoder.conv_out.weight.mul_(1e4)
        found = model.encode(torch.randn(4, 2, 4, 4)).log_variance
    assert found.min() == -30 and found.max() == 20


def test_the_loss_is_what_is_printed_per_number_of_a_picture_I2() -> None:
    model, x = AutoencoderKL(PLAIN), torch.randn(2, 2, 4, 4, generator=gen())
    with torch.no_grad():
        q = model.encode(x)
        want = (model.decode(q.sample(gen(5))) - x).abs().flatten(1).sum(1) / 32 + 0.7 / 32 * q.kl()
        got = AutoencoderLoss(0.7)(model, (x,), gen(5))
    assert got.item() == pytest.approx(want.mean().item(), rel=1e-5)


def test_each_picture_is_coded_by_itself() -> None:
    model, x = AutoencoderKL(DEEP).eval(), torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)


def test_it_learns_pictures_better_than_their_mean() -> None:
    """A quarter of the error that the best constant picture has, in a few seconds."""
    x, model = squares(scenes(256, gen()).images, 4), AutoencoderKL(AutoencoderConfig(48, 16, (32,)))
    train(model, AutoencoderLoss(1e-4), (x[:192],), TrainConfig(steps=150, batch_size=16, lr=4e-3))
    with torch.no_grad():
        error, spread = (model(x[192:]) - x[192:]).square().mean(), (x[:192].mean(0) - x[192:]).square().mean()
    assert error < spread / 4


def test_bad_input_is_refused() -> None:
    model = AutoencoderKL(DEEP)
    with rejects("x"):
        model.encode(torch.zeros(1, 3, 8, 10))
    with rejects("x"):
        model.encode(torch.zeros(1, 2, 8, 8))
    with rejects("z"):
        model.decode(torch.zeros(1, 4, 2, 2))
    with rejects("widths"):
        replace(DEEP, widths=(8, 10))
    with rejects("widths"):
        replace(DEEP, widths=())
