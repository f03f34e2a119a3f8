"""The denoiser: equal to diffusers' UNet2DConditionModel and its files, what changes the output and what must not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from companion.image.stable_diffusion.config import TextUNetConfig
from companion.image.stable_diffusion.unet import TextUNet
from tests.conftest import gen, rejects
from tests.published import published

FIRST = TextUNetConfig(4, 10, (8, 16), (True, False), (2, 2), layers=2, groups=4)
SECOND = TextUNetConfig(3, 7, (6, 12, 18), (False, True, True), (2, 3, 6), layers=1, groups=3)


def theirs_of(config: TextUNetConfig, folder: Path, **other: object) -> nn.Module:
    kinds = [("CrossAttn" if attends else "", "Block2D") for attends in config.attention]
    model = UNet2DConditionModel(
        in_channels=config.channels, out_channels=config.channels, block_out_channels=config.widths,
        down_block_types=[f"{a}Down{b}" for a, b in kinds], up_block_types=[f"{a}Up{b}" for a, b in reversed(kinds)],
        layers_per_block=config.layers, cross_attention_dim=config.context_width, norm_num_groups=config.groups,
        attention_head_dim=config.heads, **other,
    )  # fmt: skip
    return published(model, folder, std=0.2)


def inputs(config: TextUNetConfig) -> tuple[torch.Tensor, ...]:
    g = gen(3)
    mask = torch.rand(3, 5, generator=g) > 0.4
    mask[:, 0] = True
    x = torch.randn(3, config.channels, 8, 12, generator=g)
    return x, torch.tensor([0, 7, 999]), torch.randn(3, 5, config.context_width, generator=g), mask


@pytest.mark.parametrize(
    ("config", "other"),
    [(FIRST, {}), (SECOND, {"use_linear_projection": True})],
    ids=["as version 1", "as version 2"],
)
def test_equals_diffusers_on_oblong_latents_with_and_without_a_mask_I57(config, other, tmp_path) -> None:
    theirs, ours = theirs_of(config, tmp_path, **other), TextUNet.from_pretrained(tmp_path)
    assert ours.config == config and not ours.training
    x, t, text, mask = inputs(config)
    with torch.no_grad():
        scale = theirs(x, t, text).sample.abs().max()
        for real in (None, mask):
            want = theirs(x, t, text, encoder_attention_mask=real).sample
            torch.testing.assert_close(ours(x, t, text, real) / scale, want / scale, rtol=0, atol=1e-5)
        want = theirs(x, 17, text).sample
        torch.testing.assert_close(ours(x, torch.tensor(17), text) / scale, want / scale, rtol=0, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(
    "other",
    [
        {"time_embedding_type": "fourier"},
        {"transformer_layers_per_block": 2},
        {"addition_embed_type": "text_time"},
        {"up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]},
        {"out_channels": 8},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_variant_it_lacks_is_named(other, tmp_path) -> None:
    """The third is that of Stable Diffusion XL."""
    theirs_of(FIRST, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | other))
    with rejects(next(iter(other))):
        TextUNet.from_pretrained(tmp_path)


class TestDependence:
    """Of a network whose blocks all add something: the one that is built adds nothing yet."""

    @staticmethod
    def model() -> TextUNet:
        model = TextUNet(SECOND).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=gen(1)))
        return model

    @torch.no_grad()
    def test_every_real_word_and_the_time_matter_and_padding_does_not(self) -> None:
        model, (x, t, text, mask) = self.model(), inputs(SECOND)
        base = model(x, t, text, mask)
        for word in range(5):
            other = text.clone()
            other[:, word] += 1
            moved = (model(x, t, other, mask) - base).abs().flatten(1).amax(1)
            assert torch.equal(moved > 1e-5, mask[:, word])
        assert ((model(x, t + 50, text, mask) - base).abs().flatten(1).amax(1) > 1e-5).all()

    @torch.no_grad()
    def test_each_row_by_itself(self) -> None:
        model, (x, t, text, mask) = self.model(), inputs(SECOND)
        torch.testing.assert_close(
            model(x, t, text, mask)[1:2], model(x[1:2], t[1:2], text[1:2], mask[1:2]), rtol=1e-4, atol=1e-5
        )

    @torch.no_grad()
    def test_a_time_in_other_units_is_the_same_time_I49(self) -> None:
        x, _, text, mask = inputs(SECOND)
        whole = self.model()
        scaled = TextUNet(replace(SECOND, time_scale=1000.0)).eval()
        scaled.load_state_dict(whole.state_dict())
        t = torch.tensor([0.0, 0.25, 0.75])
        assert torch.equal(scaled(x, t, text, mask), whole(x, 1000 * t, text, mask))


@torch.no_grad()
def test_blocks_add_nothing_before_training() -> None:
    model, (x, t, text, mask) = TextUNet(FIRST), inputs(FIRST)
    assert torch.equal(model(x, t, text, mask), model(x, t, -text, mask))
    block, e = model.down_blocks[0].resnets[0], torch.randn(3, 32)
    h = model.conv_in(x)
    assert torch.equal(block(h, e), h)


def test_bad_input_is_refused() -> None:
    model, (x, t, text, _) = TextUNet(FIRST), inputs(FIRST)
    with rejects("sample"):
        model(x[..., :7], t, text)
    with rejects("encoder_hidden_states"):
        model(x, t, text[..., :9])
    with rejects("timestep"):
        model(x, t[:2], text)
    with rejects("heads"):
        replace(FIRST, heads=(3, 2))
    with rejects("attention"):
        replace(FIRST, attention=(True,))


def test_parameters_have_the_asked_type_whatever_the_files_is(tmp_path) -> None:
    theirs_of(FIRST, tmp_path)
    assert {p.dtype for p in TextUNet.from_pretrained(tmp_path, dtype=torch.float64).parameters()} == {torch.float64}
