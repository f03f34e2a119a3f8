"""Published configurations of CLIP, older and newer, read or refused by name."""

import pytest

from companion.image.clip.config import (
    BOTH,
    TEXT,
    VISION,
    ClipConfig,
    ClipTextConfig,
    ClipVisionConfig,
    clip_config,
    text_config,
    vision_config,
)
from tests.conftest import rejects

# What the config.json of Stable Diffusion 1.5's text encoder holds, as it was published.
STABLE_DIFFUSION = {
    "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"], "attention_dropout": 0.0,
    "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": 768,
    "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12, "num_hidden_layers": 12,
    "pad_token_id": 1, "projection_dim": 768, "torch_dtype": "float32", "transformers_version": "4.22.0.dev0",
    "vocab_size": 49408,
}  # fmt: skip
# And that of OpenAI's ViT-L/14: what is not the default stands in the two groups with "_dict".
LARGE = {
    "architectures": ["CLIPModel"], "initializer_factor": 1.0, "logit_scale_init_value": 2.6592, "model_type": "clip",
    "projection_dim": 768, "text_config": {"model_type": "clip_text_model", "hidden_size": 512},
    "text_config_dict": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
                         "num_hidden_layers": 12, "projection_dim": 768},
    "torch_dtype": "float32", "transformers_version": None, "vision_config": {"model_type": "clip_vision_model"},
    "vision_config_dict": {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
                           "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768},
}  # fmt: skip
L14_TEXT = ClipTextConfig(49408, 77, width=768, layers=12, heads=12, hidden=3072, end_token=49407)


def test_the_published_sizes() -> None:
    old_end = ClipTextConfig(**vars(L14_TEXT) | {"end_token": 2})
    assert text_config(TEXT.of(STABLE_DIFFUSION, "here"), "here") == old_end
    vision = ClipVisionConfig(224, 14, width=1024, layers=24, heads=16, hidden=4096)
    assert clip_config(BOTH.of(LARGE, "here"), "here") == ClipConfig(L14_TEXT, vision, shared=768)
    whole = {name: value for name, value in LARGE.items() if not name.endswith("_dict")}
    assert clip_config(BOTH.of(whole, "here"), "here").text.width == 512
    assert vision_config(VISION.of({"model_type": "clip_vision_model"}, "here"), "here").patch == 32


@pytest.mark.parametrize(
    "given",
    [{"hidden_act": "relu"}, {"eos_token_id": [1, 2]}, {"quantization_config": {}}, {"model_type": "clip"},
     {"add_cross_attention": True}, {"use_rotary": True}],
    ids=str,
)  # fmt: skip
def test_what_would_change_the_numbers_is_refused_by_name(given: dict) -> None:
    with rejects(next(iter(given))):
        text_config(TEXT.of(STABLE_DIFFUSION | given, "here"), "here")


def test_a_tower_of_another_kind_or_with_unknown_fields_is_refused_inside_a_clip_too() -> None:
    for name, inside in (
        ("text_config_dict", {"rope": 1}),
        ("vision_config_dict", {"model_type": "siglip_vision_model"}),
    ):
        with rejects("rope|model_type"):
            clip_config(BOTH.of(LARGE | {name: inside}, "here"), "here")
    with rejects("text_config"):
        BOTH.of({"model_type": "clip", "vision_config": {}}, "here")


def test_sizes_out_of_range() -> None:
    sizes = {"width": 8, "layers": 1, "heads": 2, "hidden": 8}
    with rejects("patch"):
        ClipVisionConfig(32, 5, **sizes)
    with rejects("stem"):
        ClipVisionConfig(32, 4, stem=(8, 8, 8), **sizes)
    with rejects("layers"):
        ClipTextConfig(9, 9, **sizes | {"layers": 0}, end_token=8)
    with rejects("activation"):
        ClipVisionConfig(32, 4, activation="tanh", **sizes)
    with rejects("scale"):
        ClipConfig(ClipTextConfig(9, 9, **sizes, end_token=8), ClipVisionConfig(32, 4, **sizes), shared=4, scale=0)
