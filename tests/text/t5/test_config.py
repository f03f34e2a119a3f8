"""Published T5 files: every field is obeyed or refused, old and new names of one thing, shards, types, missing tensors."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config as TheirConfig
from transformers import T5ForConditionalGeneration

from companion.text.t5 import T5, T5Config
from tests.conftest import rejects
from tests.nn.test_published import EVERYWHERE, obeys_or_refuses, saved
from tests.text.t5.tiny import NEW, OLD, REAL, SIZES, SOURCE, TARGET, VERSIONS, published_t5, untied

INPUTS = (SOURCE, REAL, TARGET)
# Another value than the usual one for every field: what is new in the library has to be entered here.
FIELDS = {name: value for name, value in EVERYWHERE.items() if name not in ("initializer_range", "bos_token_id")} | {
    "d_model": 22, "d_kv": 7, "d_ff": 9, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 2,
    "relative_attention_num_buckets": 9, "relative_attention_max_distance": 6, "dropout_rate": 0.7,
    "layer_norm_epsilon": 0.3, "initializer_factor": 2.0, "feed_forward_proj": "gated-silu", "is_encoder_decoder": False,
    "classifier_dropout": 0.7, "is_decoder": True, "vocab_size": 37,
}  # fmt: skip


def test_every_field_of_the_configuration_is_obeyed_or_refused(tmp_path: Path) -> None:
    assert FIELDS.keys() == {field.name for field in dataclasses.fields(TheirConfig)}
    found = {}
    for i, (field, value) in enumerate(FIELDS.items()):
        folder = tmp_path / str(i)  # which the error names too, so it must not bear the field's name
        sizes = SIZES | {field: value}
        if field == "pad_token_id":
            sizes["decoder_start_token_id"] = value
        theirs = saved(T5ForConditionalGeneration(TheirConfig(**sizes)), folder)
        stored = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(stored | {field: value}))
        found[field] = obeys_or_refuses(T5, theirs, folder, field, *INPUTS)
    assert {field for field, what in found.items() if what == "refused"} == {"feed_forward_proj", "is_encoder_decoder"}


def written(folder: Path, version: dict, **changes: object) -> T5ForConditionalGeneration:
    """A published T5 whose ``config.json`` says something else; a value of ... takes the field away."""
    theirs = published_t5(folder, version)
    stored = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in stored.items() if value is not ...}))
    return theirs


@pytest.mark.parametrize(
    "changes",
    [
        {"dense_act_fn": "gelu"}, {"is_gated_act": False}, {"decoder_start_token_id": 2}, {"feed_forward_proj": "gated-relu"},
        {"quantization_config": {"bits": 4}}, {"pruned_heads": {"0": [1]}}, {"hidden_size": 4}, {"model_type": "umt5"},
    ],
    ids=str,
)  # fmt: skip
def test_what_neither_version_has_is_refused(changes: dict, tmp_path: Path) -> None:
    written(tmp_path, NEW, **changes)
    with rejects(next(iter(changes))):
        T5.from_pretrained(tmp_path)


def test_old_files_say_it_with_other_fields(tmp_path: Path) -> None:
    """``tie_word_embeddings`` of version 1.1, no derived fields, and fields and a table that the first files have."""
    derived = dict.fromkeys(("scale_decoder_outputs", "dense_act_fn", "is_gated_act"), ...)
    theirs = written(tmp_path, NEW, **derived, tie_word_embeddings=False, n_positions=512, output_past=True)
    file = tmp_path / "model.safetensors"
    table = torch.ones(8, 3)
    save_file(load_file(file) | {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": table}, file)
    assert obeys_or_refuses(T5, theirs, tmp_path, "none", *INPUTS) == "obeyed"
    written(tmp_path, NEW, **derived)  # tied, says the library's own file; the output differs
    with rejects("different tensors"):
        T5.from_pretrained(tmp_path)
    theirs = written(tmp_path, OLD, **derived, tie_word_embeddings=..., decoder_start_token_id=...)
    assert obeys_or_refuses(T5, theirs, tmp_path, "none", *INPUTS) == "obeyed"
    theirs = written(tmp_path, NEW, feed_forward_proj="gated-gelu_new")
    assert obeys_or_refuses(T5, theirs, tmp_path, "none", *INPUTS) == "obeyed"


def test_a_version_1_1_that_the_library_made_anew_ties_without_dividing(tmp_path: Path) -> None:
    theirs = saved(T5ForConditionalGeneration(TheirConfig(**(SIZES | NEW))), tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert obeys_or_refuses(T5, theirs, tmp_path, "none", *INPUTS) == "obeyed"
    again = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert obeys_or_refuses(T5, again, tmp_path, "none", *INPUTS) == "obeyed"


def test_a_table_may_lie_in_the_file_once_or_under_all_its_names(tmp_path: Path) -> None:
    theirs, file = published_t5(tmp_path, OLD), tmp_path / "model.safetensors"
    stored = load_file(file)
    names = ("shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
    save_file(stored | {f"{name}.weight": stored["shared.weight"].clone() for name in names}, file)
    assert obeys_or_refuses(T5, theirs, tmp_path, "none", *INPUTS) == "obeyed"
    for name in names[1:]:
        save_file(stored | {f"{name}.weight": stored["shared.weight"] + 1}, file)
        with rejects("different tensor"):
            T5.from_pretrained(tmp_path)


@VERSIONS
def test_shards_and_types(version: dict, tmp_path: Path) -> None:
    theirs = saved(untied(version).bfloat16(), tmp_path, max_shard_size="4KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 1
    assert {p.dtype for p in T5.from_pretrained(tmp_path).parameters()} == {torch.float32}
    assert obeys_or_refuses(T5, theirs.float(), tmp_path, "none", *INPUTS) == "obeyed"
    half = T5.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16} and half(*INPUTS).isfinite().all()


@VERSIONS
def test_missing_surplus_and_ill_shaped_tensors_are_named(version: dict, tmp_path: Path) -> None:
    published_t5(tmp_path, version)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    cross = "decoder.block.1.layer.1.EncDecAttention.o.weight"
    for name in (cross, "encoder.final_layer_norm.weight", "shared.weight"):
        save_file({key: value for key, value in stored.items() if key != name}, file)
        with rejects(f"missing: .*{name}"):
            T5.from_pretrained(tmp_path)
        save_file(stored | {name: torch.zeros(3, *stored[name].shape)}, file)
        with rejects(f"{name} of shape"):
            T5.from_pretrained(tmp_path)
    save_file(stored | {"encoder.block.5.layer.0.layer_norm.weight": torch.zeros(18)}, file)
    with rejects("surplus: encoder.5.attention_norm.weight"):
        T5.from_pretrained(tmp_path)


def test_the_defaults_are_the_published_small_ones() -> None:
    ours, theirs = T5Config(), TheirConfig()
    assert (ours.vocab_size, ours.width, ours.layers, ours.heads) == (32_128, 512, 6, 8)
    assert (ours.head_width, ours.hidden, ours.norm_eps) == (theirs.d_kv, theirs.d_ff, theirs.layer_norm_epsilon)
    assert (ours.buckets, ours.max_distance) == (32, 128)
