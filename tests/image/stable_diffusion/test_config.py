"""Sizes, and what a published configuration may leave out, mean, or not hold."""

from diffusers import AutoencoderKL, UNet2DConditionModel

from companion.image.stable_diffusion.config import (
    AUTOENCODER_FIELDS,
    UNET_FIELDS,
    AutoencoderConfig,
    TextUNetConfig,
    autoencoder_config,
    unet_config,
)
from tests.conftest import rejects


def test_what_an_autoencoders_file_leaves_out_is_as_in_diffusers() -> None:
    full, kind = dict(AutoencoderKL().config), {"_class_name": "AutoencoderKL"}
    given = {key: full[key] for key in ("block_out_channels",)}
    read = [autoencoder_config(AUTOENCODER_FIELDS.of(kind | some, "here"), "here") for some in (given, full)]
    assert read[0] == read[1]


def test_what_a_denoisers_file_leaves_out_is_as_in_diffusers() -> None:
    kind, small = {"_class_name": "UNet2DConditionModel"}, {"block_out_channels": [32] * 4}
    full = dict(UNet2DConditionModel(**small).config)
    read = [unet_config(UNET_FIELDS.of(kind | some, "here"), "here") for some in (small, full)]
    assert read[0] == read[1]


def test_one_number_of_heads_is_for_all_levels() -> None:
    some = {"block_out_channels": [32] * 2, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "attention_head_dim": 4}  # fmt: skip
    assert unet_config(UNET_FIELDS.of({"_class_name": "UNet2DConditionModel"} | some, "here"), "here").heads == (4, 4)


def test_other_epsilons_and_groups_that_do_not_fit_are_refused() -> None:
    with rejects("norm_eps"):
        UNET_FIELDS.of({"_class_name": "UNet2DConditionModel", "norm_eps": 1e-6}, "here")
    with rejects("groups"):
        TextUNetConfig(groups=3)


def test_heads_are_counted_before_they_divide() -> None:
    with rejects("heads"):
        TextUNetConfig(heads=(0, 2))


def test_the_grid_is_smaller_by_two_for_each_level_after_the_first() -> None:
    assert [AutoencoderConfig(widths=(8,) * n).factor for n in (1, 2, 4)] == [1, 2, 8]
