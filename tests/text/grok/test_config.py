"""The sizes of Grok-1 as its code has them, and Mixtral's published configuration, read or refused by name."""

import math
from dataclasses import fields, replace

import pytest
import torch

from companion.text.grok import Grok, GrokConfig
from companion.text.grok.config import PUBLISHED, config_from_published
from tests.conftest import rejects
from tests.text.grok.test_model import MIXTRALS


def sizes(config: GrokConfig) -> tuple[int, int]:
    """How many parameters there are, and how many of them work for one token: counted in two layers, not built in all."""
    with torch.device("meta"):
        one, two = (Grok(replace(config, layers=n)) for n in (1, 2))
    first, second = (sum(p.numel() for p in model.parameters()) for model in (one, two))
    total = first + (config.layers - 1) * (second - first)
    expert = sum(p.numel() for p in one.blocks[0].mlp.experts[0].parameters())
    return total, total - config.layers * (config.experts - config.active) * expert


def test_the_defaults_are_grok_1s() -> None:
    """The sizes of its run.py, where √6144 and 1/√3 are written out."""
    config = GrokConfig(131_072, 8192, 6144, 64, heads=48, kv_heads=8, hidden=32_768)
    assert math.sqrt(config.width) == pytest.approx(78.38367176906169, rel=1e-12)
    assert config.logit_scale == pytest.approx(0.5773502691896257, rel=1e-12)
    assert (config.experts, config.active, config.score_cap, config.norm_eps) == (8, 2, 30.0, 1e-5)
    assert sizes(config) == (315_684_820_992, 83_756_587_008)


# What the config.json of Mixtral 8x7B v0.1 holds, as it was published.
MIXTRAL_8X7B = {
    "architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
    "max_position_embeddings": 32768, "model_type": "mixtral", "num_attention_heads": 32, "num_experts_per_tok": 2,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8, "output_router_logits": False,
    "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02, "sliding_window": None,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.36.0.dev0", "use_cache": True,
    "vocab_size": 32000,
}  # fmt: skip


def read(**more: object) -> GrokConfig:
    return config_from_published(PUBLISHED.of(MIXTRAL_8X7B | more, "here"), "here")


def test_the_published_mixtral_has_47_billion_parameters_and_uses_13() -> None:
    config = read()
    switched = {one.name: getattr(config, one.name) for one in fields(config) if one.name in MIXTRALS}
    assert switched == MIXTRALS
    assert sizes(config) == (46_702_792_704, 12_879_925_248)
    assert read(num_key_value_heads=None).kv_heads == 32


@pytest.mark.parametrize(
    "given",
    [
        {"sliding_window": 4096},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0, "factor": 8.0}},
        {"num_local_experts": 1},
        {"quantization_config": {"bits": 4}},
        {"model_type": "mistral"},
    ],
    ids=str,
)
def test_what_would_change_the_numbers_is_refused_by_name(given: dict) -> None:
    with rejects(next(iter(given))):
        read(**given)


def test_sizes_out_of_range() -> None:
    small = {"vocab_size": 5, "context": 4, "width": 8, "layers": 1, "heads": 2, "kv_heads": 1, "hidden": 4}
    GrokConfig(**small)
    for bad in ({"score_cap": 0.0}, {"experts": 0}, {"active": 9}, {"bend": "relu"}, {"rope_base": 1.0}, {"width": 10}):
        with rejects(next(iter(bad))):
            GrokConfig(**small | bad)
