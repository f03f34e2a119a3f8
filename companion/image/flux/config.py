"""The sizes of a Flux, and how they are read from configurations in diffusers' format."""

from dataclasses import dataclass
from typing import Any

from companion.nn.published import Fields
from companion.validate import Count, Positive, checked


@checked
@dataclass(frozen=True)
class FluxConfig:
    """A model's sizes.

    Attributes:
        channels: numbers of an image token, in and out: a square of latents.
        text_width: of the text's states, one for each word.
        pooled_width: of the vector that says the text as a whole.
        heads: of all attentions.
        axes: how many channels of a head each position axis turns, even numbers. Published models have three: one that is 0
            everywhere, rows and columns.
        double: blocks in which words and image tokens have weights of their own.
        single: blocks after them, in which they share weights.
        guidance: whether the strength of guidance is an input, as it is of distilled models.
        steps: whether the number of the sampler's steps is an input, as it is of shortcut models; no published Flux has it.
        time_scale: what times are multiplied by before they are told.
    """

    channels: Count = 64
    text_width: Count = 4096
    pooled_width: Count = 768
    heads: Count = 24
    axes: tuple[int, ...] = (16, 56, 56)
    double: int = 19
    single: int = 38
    guidance: bool = False
    steps: bool = False
    time_scale: Positive = 1000.0

    def __post_init__(self) -> None:
        if not self.axes or any(share < 2 or share % 2 for share in self.axes):
            raise ValueError(f"axes: got {self.axes}, wanted even numbers of channels, at least one axis")
        if min(self.double, self.single) < 0 or self.double + self.single == 0:
            raise ValueError(f"double, single: got {self.double}, {self.single}, wanted at least one block")

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return sum(self.axes)

    @property
    def width(self) -> int:
        """Of the stream."""
        return self.heads * self.head_width


FIELDS = Fields(
    kind=("_class_name", "FluxTransformer2DModel"),
    read={
        "in_channels": 64,
        "out_channels": None,
        "num_layers": 19,
        "num_single_layers": 38,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 4096,
        "pooled_projection_dim": 768,
        "guidance_embeds": False,
        "axes_dims_rope": (16, 56, 56),
    },
    fixed={"patch_size": (1,)},
    harmless=frozenset({"_diffusers_version", "_name_or_path", "_use_default_values"}),
)


def config_from_published(fields: dict[str, Any], where: str) -> FluxConfig:
    """A `FluxConfig` from the fields of a published ``FluxTransformer2DModel``.

    Raises:
        ValueError: axes that do not fill a head, or other channels out than in.
    """
    axes = tuple(fields["axes_dims_rope"])
    if sum(axes) != fields["attention_head_dim"]:
        got = f"{fields['attention_head_dim']}, {axes}"
        raise ValueError(f"{where}: got attention_head_dim, axes_dims_rope = {got}, wanted axes that sum to it")
    if fields["out_channels"] not in (None, fields["in_channels"]):
        got = f"{fields['in_channels']}, {fields['out_channels']}"
        raise ValueError(f"{where}: got in_channels, out_channels = {got}, wanted them equal")
    return FluxConfig(
        channels=fields["in_channels"],
        text_width=fields["joint_attention_dim"],
        pooled_width=fields["pooled_projection_dim"],
        heads=fields["num_attention_heads"],
        axes=axes,
        double=fields["num_layers"],
        single=fields["num_single_layers"],
        guidance=fields["guidance_embeds"],
    )
