"""The sizes of Stable Diffusion's autoencoder and denoiser, and how they are read from configurations in diffusers' format."""

from dataclasses import dataclass
from typing import Any

from companion.nn.published import Fields
from companion.validate import Count, Positive, check_count, checked


@checked
@dataclass(frozen=True)
class AutoencoderConfig:
    """An autoencoder's sizes.

    Attributes:
        in_channels: of the pictures.
        latent_channels: numbers at each place of the grid.
        widths: channels of each level; each level after the first has half the height and width.
        layers: residual blocks of a level of the encoder; the decoder has one more.
        groups: of the group normalisation, a divisor of every width.
        attention: whether places look at each other at the smallest size.
        quant_conv: whether a 1×1 convolution stands on each side of the narrow place.
        scale: what latents are multiplied by before diffusion, so that they spread by 1.
        shift: what is taken from them before.
    """

    in_channels: Count = 3
    latent_channels: Count = 4
    widths: tuple[int, ...] = (16, 32)
    layers: Count = 1
    groups: Count = 8
    attention: bool = True
    quant_conv: bool = True
    scale: Positive = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("widths: got none, wanted at least one level")
        for width in self.widths:
            check_count("widths", width)
            if width % self.groups:
                raise ValueError(f"widths: got {width}, wanted a multiple of groups = {self.groups}")

    @property
    def factor(self) -> int:
        """By how much the grid is smaller than the picture, in each direction."""
        return 2 ** (len(self.widths) - 1)


@checked
@dataclass(frozen=True)
class TextUNetConfig:
    """A denoiser's sizes.

    Attributes:
        channels: of the latents, in and out.
        context_width: of the text's states.
        widths: channels of each level; each level after the first has half the height and width.
        attention: for each level, whether its places look at the text; the smallest size always does, in the middle.
        heads: of the attentions of each level.
        layers: residual blocks of a level on the way down; one more on the way up.
        groups: of the group normalisations, a divisor of every width.
        time_scale: what times are multiplied by before they are told.
    """

    channels: Count = 4
    context_width: Count = 32
    widths: tuple[int, ...] = (16, 32)
    attention: tuple[bool, ...] = (True, False)
    heads: tuple[int, ...] = (2, 2)
    layers: Count = 1
    groups: Count = 8
    time_scale: Positive = 1.0

    def __post_init__(self) -> None:
        if not self.widths or not len(self.attention) == len(self.heads) == len(self.widths):
            got = f"{len(self.attention)}, {len(self.heads)}"
            raise ValueError(f"attention, heads: got {got} levels, wanted one for each of {len(self.widths)} widths")
        for width, heads in zip(self.widths, self.heads, strict=True):
            check_count("widths", width)
            check_count("heads", heads)
            if width % self.groups or width % heads:
                raise ValueError(
                    f"widths: got {width}, wanted a multiple of groups = {self.groups} and heads = {heads}"
                )


AUTOENCODER_FIELDS = Fields(
    kind=("_class_name", "AutoencoderKL"),
    read={
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ("DownEncoderBlock2D",),
        "up_block_types": ("UpDecoderBlock2D",),
        "block_out_channels": (64,),
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "scaling_factor": 0.18215,
        "shift_factor": None,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "mid_block_add_attention": True,
    },
    fixed={"act_fn": ("silu", "swish"), "latents_mean": (None,), "latents_std": (None,)},
    harmless=frozenset({"_diffusers_version", "_name_or_path", "_use_default_values", "sample_size", "force_upcast"}),
)


def autoencoder_config(fields: dict[str, Any], where: str) -> AutoencoderConfig:
    """An `AutoencoderConfig` from the fields of a published one.

    Raises:
        ValueError: blocks that `AutoencoderKL` does not have, or halves that do not fit each other.
    """
    levels = len(fields["block_out_channels"])
    for name, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        if [*fields[name]] != [kind] * levels:
            raise ValueError(f"{where}: got {name} = {[*fields[name]]}, wanted {levels} times {kind!r}")
    for one, other in (("in_channels", "out_channels"), ("use_quant_conv", "use_post_quant_conv")):
        if fields[one] != fields[other]:
            raise ValueError(f"{where}: got {one}, {other} = {fields[one]}, {fields[other]}, wanted them equal")
    return AutoencoderConfig(
        in_channels=fields["in_channels"],
        latent_channels=fields["latent_channels"],
        widths=tuple(fields["block_out_channels"]),
        layers=fields["layers_per_block"],
        groups=fields["norm_num_groups"],
        attention=fields["mid_block_add_attention"],
        quant_conv=fields["use_quant_conv"],
        scale=fields["scaling_factor"],
        shift=fields["shift_factor"] or 0.0,
    )


UNET_FIELDS = Fields(
    kind=("_class_name", "UNet2DConditionModel"),
    read={
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "attention_head_dim": 8,  # the number of heads, in spite of its name
        "cross_attention_dim": 1280,
        "norm_num_groups": 32,
    },
    fixed={
        "act_fn": ("silu", "swish"),
        "addition_embed_type": (None,),
        "attention_type": ("default",),
        "center_input_sample": (False,),
        "class_embed_type": (None,),
        "class_embeddings_concat": (False,),
        "conv_in_kernel": (3,),
        "conv_out_kernel": (3,),
        "cross_attention_norm": (None,),
        "downsample_padding": (1,),
        "dual_cross_attention": (False,),
        "encoder_hid_dim": (None,),
        "encoder_hid_dim_type": (None,),
        "flip_sin_to_cos": (True,),
        "freq_shift": (0,),
        "mid_block_only_cross_attention": (None, False),
        "mid_block_scale_factor": (1,),
        "mid_block_type": ("UNetMidBlock2DCrossAttn",),
        "norm_eps": (1e-5,),
        "num_attention_heads": (None,),
        "num_class_embeds": (None,),
        "only_cross_attention": (False,),
        "projection_class_embeddings_input_dim": (None,),
        "resnet_out_scale_factor": (1.0,),
        "resnet_skip_time_act": (False,),
        "resnet_time_scale_shift": ("default",),
        "reverse_transformer_layers_per_block": (None,),
        "time_cond_proj_dim": (None,),
        "time_embedding_act_fn": (None,),
        "time_embedding_dim": (None,),
        "time_embedding_type": ("positional",),
        "timestep_post_act": (None,),
        "transformer_layers_per_block": (1,),
    },
    # Dropout is not active at inference; the maps' form is read off the tensors; upcasting changes nothing in float32.
    harmless=frozenset(
        {"_diffusers_version", "_name_or_path", "_use_default_values", "addition_embed_type_num_heads",
         "addition_time_embed_dim", "dropout", "sample_size", "upcast_attention", "use_linear_projection"}
    ),
)  # fmt: skip


def unet_config(fields: dict[str, Any], where: str) -> TextUNetConfig:
    """A `TextUNetConfig` from the fields of a published ``UNet2DConditionModel``.

    Raises:
        ValueError: blocks that `TextUNet` does not have, or other channels out than in.
    """
    down, up, levels = fields["down_block_types"], fields["up_block_types"], len(fields["block_out_channels"])
    attention = tuple(name == "CrossAttnDownBlock2D" for name in down)
    mirrored = [("CrossAttn" if attends else "") + "UpBlock2D" for attends in reversed(attention)]
    if not {"DownBlock2D", "CrossAttnDownBlock2D"} >= set(down) or [*up] != mirrored:
        raise ValueError(
            f"{where}: got down_block_types, up_block_types = {[*down]}, {[*up]}, wanted DownBlock2D and "
            "CrossAttnDownBlock2D, mirrored"
        )
    if fields["in_channels"] != fields["out_channels"]:
        got = f"{fields['in_channels']}, {fields['out_channels']}"
        raise ValueError(f"{where}: got in_channels, out_channels = {got}, wanted them equal")
    heads = fields["attention_head_dim"]
    return TextUNetConfig(
        channels=fields["in_channels"],
        context_width=fields["cross_attention_dim"],
        widths=tuple(fields["block_out_channels"]),
        attention=attention,
        heads=(heads,) * levels if isinstance(heads, int) else tuple(heads),
        layers=fields["layers_per_block"],
        groups=fields["norm_num_groups"],
    )
