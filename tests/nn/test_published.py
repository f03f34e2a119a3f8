"""Published weights: every field of the libraries' configurations is obeyed or refused; shards, types, names, shapes."""

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from companion.code.qwen import Qwen
from companion.nn.published import WANTED, Fields, fill, read_config, read_tensors, rope_of
from companion.nn.unet import UNet
from companion.text.gemma import Gemma
from companion.text.gpt import GPT
from companion.text.llama import Llama
from tests.conftest import rejects

IDS = torch.randint(23, (2, 7), generator=torch.Generator().manual_seed(0))
GPT2_SIZES = {"vocab_size": 23, "n_positions": 11, "n_embd": 12, "n_layer": 2, "n_head": 3}
LLAMA_SIZES = {
    "vocab_size": 23, "max_position_embeddings": 11, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "intermediate_size": 20,
}  # fmt: skip
GEMMA_SIZES = LLAMA_SIZES | {"head_dim": 10, "query_pre_attn_scalar": 7, "sliding_window": 4}
UNET_SIZES = {
    "in_channels": 1, "out_channels": 1, "block_out_channels": (4, 8), "norm_num_groups": 2, "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,
}  # fmt: skip

# Another value than the usual one for every field of every class: what is new in the library has to be entered here.
EVERYWHERE = {
    "transformers_version": "4.0.0", "architectures": ["Other"], "output_hidden_states": True, "return_dict": True,
    "dtype": "bfloat16", "chunk_size_feed_forward": 2, "is_encoder_decoder": True, "id2label": {0: "a", 1: "b"},
    "label2id": {"a": 0, "b": 1}, "problem_type": "regression", "initializer_range": 0.5, "use_cache": False,
    "pad_token_id": 3, "bos_token_id": 4, "eos_token_id": 5, "vocab_size": 29,
}  # fmt: skip
GPT2 = EVERYWHERE | {
    "n_positions": 13, "n_embd": 18, "n_layer": 3, "n_head": 2, "n_inner": 20, "activation_function": "relu",
    "resid_pdrop": 0.7, "embd_pdrop": 0.7, "attn_pdrop": 0.7, "layer_norm_epsilon": 0.3, "summary_type": "first",
    "summary_use_proj": False, "summary_activation": "tanh", "summary_proj_to_labels": False, "summary_first_dropout": 0.7,
    "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True,
    "add_cross_attention": True, "tie_word_embeddings": False,
}  # fmt: skip
LLAMA = EVERYWHERE | {
    "hidden_size": 36, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 6,
    "hidden_act": "gelu", "max_position_embeddings": 13, "rms_norm_eps": 0.3, "pretraining_tp": 2,
    "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 50.0}, "attention_bias": True,
    "attention_dropout": 0.7, "mlp_bias": True, "head_dim": 8,
}  # fmt: skip
QWEN = {name: value for name, value in LLAMA.items() if name in {f.name for f in dataclasses.fields(Qwen2Config)}} | {
    "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1,
    "layer_types": ["full_attention", "sliding_attention"],
}  # fmt: skip
GEMMA2 = {
    name: value for name, value in LLAMA.items() if name in {field.name for field in dataclasses.fields(Gemma2Config)}
} | {
    "hidden_activation": "silu", "tie_word_embeddings": False, "query_pre_attn_scalar": 3, "sliding_window": 2,
    "layer_types": ["full_attention"] * 2, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 1.5,
    "use_bidirectional_attention": True,
}  # fmt: skip
GEMMA3 = GEMMA2 | {
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
        "full_attention": {"rope_type": "linear", "rope_theta": 70.0, "factor": 4.0},
    },
    "layer_types": ["sliding_attention", "full_attention"],
}
UNETS = {
    "sample_size": 8, "in_channels": 2, "out_channels": 2, "center_input_sample": True, "time_embedding_type": "fourier",
    "time_embedding_dim": 12, "freq_shift": 1, "flip_sin_to_cos": False, "down_block_types": ("AttnDownBlock2D", "DownBlock2D"),
    "mid_block_type": None, "up_block_types": ("UpBlock2D", "AttnUpBlock2D"), "block_out_channels": (4, 12),
    "layers_per_block": 2, "mid_block_scale_factor": 2.0, "downsample_padding": 0, "downsample_type": "resnet",
    "upsample_type": "resnet", "dropout": 0.7, "act_fn": "relu", "attention_head_dim": 2, "norm_num_groups": 4,
    "attn_norm_num_groups": 4, "norm_eps": 0.3, "resnet_time_scale_shift": "scale_shift", "add_attention": False,
    "class_embed_type": "timestep", "num_class_embeds": 3, "num_train_timesteps": 100,
}  # fmt: skip
# Values of the rotation, which lie one level deeper, and names that only older or other files have.
OLDER = [
    {"rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
    {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}},
    {"rope_parameters": {"rope_theta": 10_000.0, "rope_type": "yarn", "factor": 2.0}},
    {"rope_theta": 50.0},
    {"quantization_config": {"bits": 4}},
    {"pruned_heads": {"0": [1]}},
]


def saved(model: nn.Module, folder: Path, **options: object) -> nn.Module:
    """A library's model, its parameters drawn anew, norms and biases too, and written to a folder."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.eval().save_pretrained(folder, **options)
    return model


def obeys_or_refuses(ours: type[nn.Module], theirs: nn.Module, folder: Path, field: str, *inputs: Tensor) -> str:
    """Read a folder: either the outputs are the library's, or a `ValueError` names the field."""
    try:
        mine = ours.from_pretrained(folder)
    except ValueError as refused:
        assert field in str(refused)
        return "refused"
    with torch.no_grad():
        want = theirs(*inputs)
        got = mine(*inputs)
    torch.testing.assert_close(got, want["logits" if hasattr(want, "logits") else "sample"], rtol=0, atol=1e-5)
    return "obeyed"


LANGUAGE = [
    (GPT, GPT2Config, GPT2LMHeadModel, GPT2_SIZES, GPT2),
    (Llama, LlamaConfig, LlamaForCausalLM, LLAMA_SIZES, LLAMA),
    (Qwen, Qwen2Config, Qwen2ForCausalLM, LLAMA_SIZES, QWEN),
    (Gemma, Gemma2Config, Gemma2ForCausalLM, GEMMA_SIZES, GEMMA2),
    (Gemma, Gemma3TextConfig, Gemma3ForCausalLM, GEMMA_SIZES, GEMMA3),
]
GEMMAS_HAVE_NOT = {
    "hidden_activation", "attention_bias", "tie_word_embeddings", "use_bidirectional_attention", "is_encoder_decoder"
}  # fmt: skip


@pytest.mark.parametrize("kind", LANGUAGE, ids=lambda kind: kind[2].__name__)
def test_every_field_of_a_language_models_configuration_is_obeyed_or_refused(kind: tuple, tmp_path: Path) -> None:
    ours, config, model, sizes, values = kind
    assert values.keys() == {field.name for field in dataclasses.fields(config)}
    found = {}
    for i, (field, value) in enumerate(values.items()):
        folder = tmp_path / str(i)  # which the error names too, so it must not bear the field's name
        theirs = saved(model(config(**(sizes | {field: value}))), folder)
        stored = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(stored | {field: value}))  # also what the library does not write
        found[field] = obeys_or_refuses(ours, theirs, folder, field, IDS)
    assert {field for field, what in found.items() if what == "refused"} == {
        GPT: {
            "activation_function", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn",
            "add_cross_attention", "tie_word_embeddings", "is_encoder_decoder",
        },
        Llama: {"hidden_act", "attention_bias", "mlp_bias", "is_encoder_decoder"},
        Qwen: {"hidden_act", "use_sliding_window", "layer_types", "is_encoder_decoder"},
        Gemma: GEMMAS_HAVE_NOT | ({"attn_logit_softcapping"} if config is Gemma3TextConfig else set()),
    }[ours]  # fmt: skip


@pytest.mark.parametrize("older", OLDER, ids=str)
def test_fields_of_older_files_and_of_the_rotation(older: dict, tmp_path: Path) -> None:
    field, base = next(iter(older)), LlamaConfig(**LLAMA_SIZES)
    saved(LlamaForCausalLM(base), tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored = {name: given for name, given in stored.items() if name != "rope_parameters"} | older
    (tmp_path / "config.json").write_text(json.dumps(stored))
    theirs = LlamaForCausalLM.from_pretrained(tmp_path).eval() if "rope" in field else None
    got = obeys_or_refuses(Llama, theirs, tmp_path, field, IDS)
    assert got == ("obeyed" if field == "rope_theta" else "refused")


def test_every_field_of_the_u_nets_configuration_is_obeyed_or_refused(tmp_path: Path) -> None:
    assert UNETS.keys() == set(inspect.signature(UNet2DModel.__init__).parameters) - {"self"}
    found = {}
    for i, (field, value) in enumerate(UNETS.items()):
        sizes = UNET_SIZES | {field: value}
        if field.endswith("block_types"):  # the two go together, or it is a lopsided network
            sizes |= {name: UNETS[name] for name in ("down_block_types", "up_block_types")}
        x = torch.randn(2, sizes["in_channels"], 8, 8, generator=torch.Generator().manual_seed(0))
        labels = [torch.tensor([2, 0])] if field in ("num_class_embeds", "class_embed_type") else []
        theirs = saved(UNet2DModel(**sizes), tmp_path / str(i))
        found[field] = obeys_or_refuses(UNet, theirs, tmp_path / str(i), field, x, torch.tensor([3, 700]), *labels)
    assert {field for field, what in found.items() if what == "refused"} == {
        "center_input_sample", "time_embedding_type", "time_embedding_dim", "mid_block_type", "mid_block_scale_factor",
        "downsample_type", "upsample_type", "act_fn", "attn_norm_num_groups", "resnet_time_scale_shift", "add_attention",
        "class_embed_type",
    }  # fmt: skip


MODELS: list[tuple[type[nn.Module], Callable[[], nn.Module], str]] = [
    (GPT, lambda: GPT2LMHeadModel(GPT2Config(**GPT2_SIZES)), "model"),
    (Llama, lambda: LlamaForCausalLM(LlamaConfig(**LLAMA_SIZES)), "model"),
    (Qwen, lambda: Qwen2ForCausalLM(Qwen2Config(**LLAMA_SIZES, tie_word_embeddings=True)), "model"),
    (Gemma, lambda: Gemma2ForCausalLM(Gemma2Config(**GEMMA_SIZES)), "model"),
    (UNet, lambda: UNet2DModel(**UNET_SIZES), "diffusion_pytorch_model"),
]
EACH = pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind[0].__name__)


def inputs_of(ours: type[nn.Module]) -> tuple[Tensor, ...]:
    return (torch.randn(2, 1, 8, 8), torch.tensor([3, 700])) if ours is UNet else (IDS,)


@EACH
def test_shards_and_one_file_give_the_same_model(kind: tuple, tmp_path: Path) -> None:
    ours, build, stem = kind
    theirs = saved(build(), tmp_path, max_shard_size="4KB")
    assert not (tmp_path / f"{stem}.safetensors").exists() and len([*tmp_path.glob("*.safetensors")]) > 1
    assert obeys_or_refuses(ours, theirs, tmp_path, "none", *inputs_of(ours)) == "obeyed"
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(FileNotFoundError):
        ours.from_pretrained(tmp_path)


@EACH
@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_files_in_half_precision_load_as_float32_or_as_asked(kind: tuple, stored: torch.dtype, tmp_path: Path) -> None:
    ours, build, _ = kind
    theirs = saved(build().to(stored), tmp_path)
    assert {p.dtype for p in ours.from_pretrained(tmp_path, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}
    assert {p.dtype for p in ours.from_pretrained(tmp_path).parameters()} == {torch.float32}
    if ours is Gemma:  # which has rounded √d once, and keeps it so: read anew it is exact
        theirs = type(theirs).from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert obeys_or_refuses(ours, theirs.float(), tmp_path, "none", *inputs_of(ours)) == "obeyed"
    with rejects("dtype"):
        ours.from_pretrained(tmp_path, dtype=torch.int64)


@EACH
def test_missing_surplus_and_ill_shaped_tensors_are_named(kind: tuple, tmp_path: Path) -> None:
    ours, build, stem = kind
    saved(build(), tmp_path)
    file = tmp_path / f"{stem}.safetensors"
    stored = load_file(file)
    name = sorted(stored)[3]
    short = name.removeprefix("transformer.")
    save_file({key: value for key, value in stored.items() if key != name}, file)
    with rejects(f"missing: {short}"):
        ours.from_pretrained(tmp_path)
    save_file(stored | {"more.weight": torch.zeros(2)}, file)
    with rejects("surplus: more.weight"):
        ours.from_pretrained(tmp_path)
    save_file(stored | {name: torch.zeros(3, *stored[name].shape)}, file)
    with rejects(f"{short} of shape|{short.rpartition('.')[0]}"):
        ours.from_pretrained(tmp_path)


def test_a_tied_head_may_lie_in_the_file_twice_but_not_with_two_values(tmp_path: Path) -> None:
    for ours, build, table in (
        (GPT, MODELS[0][1], "transformer.wte.weight"),
        (Qwen, MODELS[2][1], "model.embed_tokens.weight"),
    ):
        theirs, file = saved(build(), tmp_path), tmp_path / "model.safetensors"
        stored = load_file(file)
        save_file(stored | {"lm_head.weight": stored[table].clone()}, file)
        assert obeys_or_refuses(ours, theirs, tmp_path, "none", IDS) == "obeyed"
        save_file(stored | {"lm_head.weight": stored[table] + 1}, file)
        with rejects("different tensor"):
            ours.from_pretrained(tmp_path)


def test_configurations_of_another_kind_and_unknown_or_missing_fields(tmp_path: Path) -> None:
    fields = Fields(
        ("model_type", "tiny"), {"width": WANTED, "eps": 0.1}, {"act": ("silu", "swish")}, frozenset({"note"})
    )

    def read(**given: object) -> dict[str, object]:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "tiny", "width": 3} | given))
        return read_config(tmp_path, fields)

    assert read(note="x", act="swish") == {"width": 3, "eps": 0.1}
    for given, pattern in (
        ({"model_type": "huge"}, "model_type = 'huge'"),
        ({"act": "relu"}, "act = 'relu'"),
        ({"twist": None}, "twist"),
    ):
        with rejects(pattern):
            read(**given)
    with rejects("without width"):
        fields.of({"model_type": "tiny"}, "here")
    with pytest.raises(FileNotFoundError):
        read_config(tmp_path / "nowhere", fields)


def test_of_several_kinds_the_file_says_which(tmp_path: Path) -> None:
    one = Fields(("model_type", "one"), {"width": WANTED}, {}, frozenset())
    two = Fields(("model_type", "two"), {"width": 5}, {}, frozenset())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "two"}))
    assert read_config(tmp_path, one, two) == {"width": 5}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "three"}))
    with rejects("model_type = 'three', wanted 'one' or 'two'"):
        read_config(tmp_path, one, two)


def test_settings_of_the_rotation_are_a_base_and_a_stretch_or_refused() -> None:
    assert rope_of(None, "rope", "here") == (None, 1.0)
    assert rope_of({"type": "default", "rope_theta": 50.0}, "rope", "here") == (50.0, 1.0)
    linear = {"rope_type": "linear", "factor": 4}
    assert rope_of(linear, "rope", "here", stretched=True) == (None, 4.0)
    for given, stretched in (
        (linear, False),
        ({"rope_type": "linear"}, True),
        ({"rope_type": "default", "factor": 4.0}, True),
        ({"rope_type": "yarn", "factor": 4.0}, True),
        ({"rope_type": "default", "partial_rotary_factor": 0.5}, False),
    ):
        with rejects("got rope = "):
            rope_of(given, "rope", "here", stretched=stretched)


def test_an_index_is_held_to_its_shards(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "one.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "one.safetensors"}}))
    with rejects("in b"):
        read_tensors(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../one.safetensors"}}))
    with rejects("beside the index"):
        read_tensors(tmp_path)


def test_published_rows_are_shared_out_in_order_and_matrices_turned() -> None:
    model = nn.ModuleDict({"left": nn.Linear(2, 3), "right": nn.Linear(2, 3)})
    both, bias = torch.arange(12.0).view(2, 6), torch.arange(6.0)
    filled = fill(
        model, {"both.weight": both, "both.bias": bias}, {"both": ("left", "right")}, where="here", transposed=["both"]
    )
    assert torch.equal(filled["left"].weight, both[:, :3].T) and torch.equal(filled["right"].weight, both[:, 3:].T)
    assert torch.equal(filled["right"].bias, bias[3:]) and not filled.training
