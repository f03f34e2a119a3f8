"""Published configurations of Gemma 2 and 3, older and newer files, read as the library reads them, or refused by name."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from companion.nn.published import Fields
from companion.text.gemma import Gemma, GemmaConfig
from companion.text.gemma.config import GEMMA2, GEMMA2_2B, GEMMA3, GEMMA3_1B, config_from_published
from tests.conftest import rejects
from tests.published import published

# What the config.json of Gemma 2 2B and of Gemma 3 1B hold, as they were published.
BOTH = {
    "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 2, "cache_implementation": "hybrid", "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "initializer_range": 0.02, "num_hidden_layers": 26, "pad_token_id": 0,
    "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06, "use_cache": True,
}  # fmt: skip
SECOND_2B = BOTH | {
    "architectures": ["Gemma2ForCausalLM"], "attn_logit_softcapping": 50.0, "eos_token_id": 1,
    "final_logit_softcapping": 30.0, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 2304, "intermediate_size": 9216,
    "max_position_embeddings": 8192, "model_type": "gemma2", "num_attention_heads": 8, "num_key_value_heads": 4,
    "rope_theta": 10000.0, "sliding_window": 4096, "torch_dtype": "float32", "transformers_version": "4.42.4",
    "vocab_size": 256000,
}  # fmt: skip
THIRD_1B = BOTH | {
    "architectures": ["Gemma3ForCausalLM"], "attn_logit_softcapping": None, "eos_token_id": [1, 106],
    "final_logit_softcapping": None, "hidden_size": 1152, "intermediate_size": 6912, "max_position_embeddings": 32768,
    "model_type": "gemma3_text", "num_attention_heads": 4, "num_key_value_heads": 1, "rope_local_base_freq": 10000,
    "rope_scaling": None, "rope_theta": 1000000, "sliding_window": 512, "sliding_window_pattern": 6,
    "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "vocab_size": 262144,
}  # fmt: skip


def read(fields: Fields, published_: dict, **more: object) -> GemmaConfig:
    return config_from_published(fields.of(published_ | more, "here"), "here")


def test_the_published_models_have_these_sizes_and_as_many_parameters() -> None:
    second, third = read(GEMMA2, SECOND_2B), read(GEMMA3, THIRD_1B)
    assert (second, third) == (GEMMA2_2B, GEMMA3_1B)
    for config, count in ((second, 2_614_341_888), (third, 999_885_952)):
        with torch.device("meta"):
            assert sum(p.numel() for p in Gemma(config).parameters()) == count


def test_which_layers_are_local() -> None:
    second, third = read(GEMMA2, SECOND_2B), read(GEMMA3, THIRD_1B)
    assert [i for i in range(26) if not second.is_local(i)] == [*range(1, 26, 2)]
    assert [i for i in range(26) if not third.is_local(i)] == [5, 11, 17, 23]
    near, far = "sliding_attention", "full_attention"
    for types, every in (([near, near, far, near], 3), ([far, far], 1), ([near] * 3, 4)):
        for fields, given in ((GEMMA2, SECOND_2B), (GEMMA3, THIRD_1B)):
            got = read(fields, given, layer_types=types, num_hidden_layers=len(types))
            assert got.global_every == every
            assert [near if got.is_local(i) else far for i in range(len(types))] == types
    assert read(GEMMA3, THIRD_1B, sliding_window_pattern=4).global_every == 4
    for types in ([far, near], [near, far, far], [near, far, near], [near, "chunked_attention"]):
        with rejects("layer_types"):
            read(GEMMA3, THIRD_1B, layer_types=types, num_hidden_layers=len(types) + (types == [near, far, near]))


SMALL = {
    "vocab_size": 23, "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 10, "query_pre_attn_scalar": 7, "sliding_window": 4, "sliding_window_pattern": 2,
    "max_position_embeddings": 16,
}  # fmt: skip
OLD = [  # with the three fields of older files
    {"rope_theta": 50.0},
    {"rope_local_base_freq": 30.0},
    {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "rope_theta": 70.0},
    {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "rope_theta": 20.0}, "rope_theta": 70.0},
    {"sliding_window_pattern": 3},
]


@pytest.mark.parametrize("older", [*OLD, None], ids=str)
def test_older_files_are_read_as_the_library_reads_them(older: dict | None, tmp_path: Path) -> None:
    """The library takes its own weights back by the old file; ours have to give its logits. None is a Gemma 2."""
    sizes = {name: value for name, value in SMALL.items() if older is not None or name != "sliding_window_pattern"}
    about = {"model_type": "gemma2", "rope_theta": 50.0} if older is None else {"model_type": "gemma3_text"} | older
    (tmp_path / "config.json").write_text(json.dumps(sizes | about))
    kind, model = (Gemma2Config, Gemma2ForCausalLM) if older is None else (Gemma3TextConfig, Gemma3ForCausalLM)
    config = kind.from_pretrained(tmp_path, attn_implementation="eager")
    theirs = published(model(config), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(sizes | about))
    ids = torch.randint(23, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(Gemma.from_pretrained(tmp_path)(ids), theirs(ids).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        (GEMMA2, {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
        (GEMMA2, {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0, "factor": 8.0}}),
        (GEMMA2, {"sliding_window_pattern": 2}),
        (GEMMA3, {"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}}),
        (GEMMA3, {"rope_scaling": {"type": "linear", "factor": 8.0}}),
        (GEMMA3, {"attn_logit_softcapping": 50.0}),
        (GEMMA3, {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}),
        (GEMMA3, {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}}),
        (GEMMA3, {"sliding_window": None}),
        (GEMMA3, {"attention_bias": True}),
        (GEMMA3, {"use_bidirectional_attention": True}),
        (GEMMA3, {"hidden_activation": "gelu"}),
        (GEMMA3, {"model_type": "gemma3"}),
        (GEMMA3, {"quantization_config": {"bits": 4}}),
    ],
    ids=lambda value: str(getattr(value, "kind", value)),
)
def test_what_would_change_the_numbers_is_refused_by_name(fields: Fields, given: dict) -> None:
    with rejects(next(iter(given))):
        read(fields, SECOND_2B if fields is GEMMA2 else THIRD_1B, **given)


def test_sizes_out_of_range() -> None:
    sizes = {"vocab_size": 5, "context": 4, "width": 6, "layers": 1, "heads": 2, "kv_heads": 1, "head_width": 4,
             "hidden": 4, "window": 2}  # fmt: skip
    GemmaConfig(**sizes)
    for bad in ({"window": 0}, {"score_cap": 0.0}, {"logit_cap": -1.0}, {"global_every": 0}, {"global_base": 1.0}):
        with rejects(next(iter(bad))):
            GemmaConfig(**sizes | bad)
    with rejects("kv_heads"):
        Gemma(GemmaConfig(**sizes | {"kv_heads": 3}))
    with rejects("width"):
        Gemma(GemmaConfig(**sizes | {"head_width": 5}))
