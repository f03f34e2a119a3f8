"""The sizes of a CLIP, and how they are read from published configurations.

A folder may hold a whole CLIP (``"model_type": "clip"``, a configuration for each tower inside), or one tower alone, as the
text encoders of Stable Diffusion do (``"clip_text_model"``). Older files give a tower's sizes in ``text_config_dict``, which
then counts in place of ``text_config``: so the library does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from companion.nn.published import HARMLESS, WANTED, Fields
from companion.validate import Count, Positive, checked

LEGACY_END = 2
"""The ``eos_token_id`` of older files, though their texts end with the highest number; see `companion.image.clip.towers`."""


@checked
@dataclass(frozen=True)
class ClipTextConfig:
    """The sizes of a text tower.

    Attributes:
        vocab_size: how many tokens there are.
        context: how many tokens of a text it can read.
        width: of the stream.
        layers: how many blocks.
        heads: of the attention.
        hidden: of the MLPs.
        end_token: what every text ends with, where it is pooled; `LEGACY_END` for the place of the highest number.
        activation: of the MLPs.
        norm_eps: of all norms.
    """

    vocab_size: Count
    context: Count
    width: Count
    layers: Count
    heads: Count
    hidden: Count
    end_token: int
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    norm_eps: float = 1e-5


@checked
@dataclass(frozen=True)
class ClipVisionConfig:
    """The sizes of a vision tower.

    Attributes:
        side: of the pictures, in pixels.
        patch: height and width of a patch; a divisor of the side.
        width: of the stream.
        layers: how many blocks.
        heads: of the attention.
        hidden: of the MLPs.
        channels: of the pictures.
        stem: channels of convolutions that come before the patches are cut, each of which halves height and width; none in
            the published models.
        activation: of the MLPs.
        norm_eps: of all norms.
    """

    side: Count
    patch: Count
    width: Count
    layers: Count
    heads: Count
    hidden: Count
    channels: Count = 3
    stem: tuple[int, ...] = ()
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.side % self.patch:
            raise ValueError(f"patch: got {self.patch}, wanted a divisor of side = {self.side}")
        if self.patch % 2 ** len(self.stem):
            raise ValueError(f"stem: got {self.stem}, wanted at most as many halvings as patch = {self.patch} allows")


@checked
@dataclass(frozen=True)
class ClipConfig:
    """The sizes of both towers and of the space in which they meet.

    Attributes:
        text: of the text tower.
        vision: of the vision tower.
        shared: the width of the vectors that are compared.
        scale: what cosines are multiplied by at the start of training, 1 / temperature.
    """

    text: ClipTextConfig
    vision: ClipVisionConfig
    shared: Count
    scale: Positive = 1 / 0.07


_ALIKE = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_hidden_layers": 12}
# Dropout is not active at inference; the others belong to the start of training or to classes that are not read here.
_HARMLESS = HARMLESS | {
    "attention_dropout",
    "dropout",
    "initializer_factor",
    "projection_dim",
    "gradient_checkpointing",
}
_FIXED = {"add_cross_attention": (False,), "cross_attention_hidden_size": (None,), "is_encoder_decoder": (False,),
          "pruned_heads": (None, {}), "tie_encoder_decoder": (False,), "tie_word_embeddings": (True, False),
          "remove_invalid_values": (False,), "tf_legacy_loss": (False,)}  # fmt: skip

TEXT = Fields(
    kind=("model_type", "clip_text_model"),
    read=_ALIKE
    | {
        "vocab_size": 49408,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "eos_token_id": 49407,
    },
    fixed=_FIXED,
    harmless=_HARMLESS,
)
VISION = Fields(
    kind=("model_type", "clip_vision_model"),
    read=_ALIKE
    | {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_channels": 3,
        "image_size": 224,
        "patch_size": 32,
    },
    fixed=_FIXED,
    harmless=_HARMLESS,
)
BOTH = Fields(
    kind=("model_type", "clip"),
    read={
        "text_config": WANTED,
        "vision_config": WANTED,
        "text_config_dict": None,
        "vision_config_dict": None,
        "projection_dim": 512,
    },
    fixed=_FIXED,
    harmless=_HARMLESS | {"logit_scale_init_value"},
)


def text_config(fields: Mapping[str, Any], where: str) -> ClipTextConfig:
    """A `ClipTextConfig` from the fields of a published one, of `TEXT`."""
    return ClipTextConfig(
        vocab_size=fields["vocab_size"], context=fields["max_position_embeddings"], end_token=_end(fields, where),
        **_of_either(fields, where),
    )  # fmt: skip


def vision_config(fields: Mapping[str, Any], where: str) -> ClipVisionConfig:
    """A `ClipVisionConfig` from the fields of a published one, of `VISION`."""
    return ClipVisionConfig(
        side=fields["image_size"], patch=fields["patch_size"], channels=fields["num_channels"],
        **_of_either(fields, where),
    )  # fmt: skip


def clip_config(fields: Mapping[str, Any], where: str) -> ClipConfig:
    """A `ClipConfig` from the fields of a published one, of `BOTH`."""
    towers = []
    for name, kind in (("text_config", TEXT), ("vision_config", VISION)):
        given = fields[f"{name}_dict"] or fields[name]
        towers.append(kind.of({"model_type": kind.kind[1]} | given, f"{where}, {name}"))
    return ClipConfig(text_config(towers[0], where), vision_config(towers[1], where), shared=fields["projection_dim"])


def _of_either(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    if fields["hidden_act"] not in ("quick_gelu", "gelu"):
        raise ValueError(f"{where}: got hidden_act = {fields['hidden_act']!r}, wanted 'quick_gelu' or 'gelu'")
    return {
        "width": fields["hidden_size"], "layers": fields["num_hidden_layers"], "heads": fields["num_attention_heads"],
        "hidden": fields["intermediate_size"], "activation": fields["hidden_act"], "norm_eps": fields["layer_norm_eps"],
    }  # fmt: skip


def _end(fields: Mapping[str, Any], where: str) -> int:
    if not isinstance(fields["eos_token_id"], int):
        raise ValueError(f"{where}: got eos_token_id = {fields['eos_token_id']!r}, wanted one number")
    return fields["eos_token_id"]
