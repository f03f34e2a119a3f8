"""Qwen2.5-Coder: the block of Llama with biases on queries, keys and values, and signs for files and repositories.

    q = W_q x + b_q,  k = W_k x + b_k,  v = W_v x + b_v,  and no other bias                   (eq-code-qwen)

Hui et al., "Qwen2.5-Coder Technical Report", 2024, arXiv:2409.12186; the block is that of Qwen2 (arXiv:2407.10671): grouped
queries, rotary positions, gated MLP and RMS norm as in `companion.text.llama`. `Qwen.from_pretrained` reads the published
format, so this code runs the published weights. Departure: what the published configuration can switch on and the coder models
do not use, windows of attention and rescaled rotary frequencies, is refused, not guessed.

The signs at the cursor are those of the report: prefix first, then suffix (the order called PSM); for a repository the
other files come before, each behind its name.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from companion.text.llama import Llama, LlamaConfig, from_published


class Qwen(Llama):
    """Qwen2.5 as published: a Llama whose queries, keys and values have biases (eq-code-qwen).

    Args:
        config: the sizes.
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(replace(config, qkv_bias=True))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Qwen":
        """Read a Qwen2 or Qwen2.5 in the published format from a folder with ``config.json`` and ``model.safetensors``.

        Raises:
            FileNotFoundError: one of the two files is not there.
            ValueError: another kind of model, windows of attention, rescaled frequencies, or weights that do not fit.
        """
        folder = Path(folder)
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        rope = about.get("rope_parameters") or about.get("rope_scaling") or {}
        kind = about.get("model_type"), rope.get("rope_type", "default"), bool(about.get("use_sliding_window"))
        if kind != ("qwen2", "default", False):
            raise ValueError(f"{folder}: got {kind}, wanted ('qwen2', 'default', False): kind, rotary type, windows")
        config = LlamaConfig(
            vocab_size=about["vocab_size"],
            context=about["max_position_embeddings"],
            width=about["hidden_size"],
            layers=about["num_hidden_layers"],
            heads=about["num_attention_heads"],
            kv_heads=about["num_key_value_heads"],
            hidden=about["intermediate_size"],
            rope_base=rope.get("rope_theta") or about.get("rope_theta") or 10_000.0,
            norm_eps=about["rms_norm_eps"],
            tied=about.get("tie_word_embeddings", False),
        )
        model, published = cls(config), load_file(folder / "model.safetensors")
        ours = from_published(published, config, str(folder)) | _biases(published, config, str(folder))
        model.load_state_dict(ours)
        return model.eval()


def _biases(published: Mapping[str, Tensor], config: LlamaConfig, where: str) -> dict[str, Tensor]:
    try:
        return {
            f"blocks.{i}.attention.{name}.bias": published[f"model.layers.{i}.self_attn.{name}_proj.bias"]
            for i in range(config.layers)
            for name in ("q", "k", "v")
        }
    except KeyError as missing:
        raise ValueError(f"{where}: got weights without {missing}, wanted those of a Qwen2") from missing


def file_prompt(prefix: str, suffix: str) -> str:
    """What Qwen2.5-Coder is given at a cursor within one file."""
    return f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>"


def repository_prompt(name: str, files: Mapping[str, str], path: str, prefix: str, suffix: str) -> str:
    """What it is given at a cursor within a repository: the repository's name, other files by their paths, this file last."""
    others = "".join(f"<|file_sep|>{other}\n{text}\n" for other, text in files.items())
    return f"<|repo_name|>{name}\n{others}<|file_sep|>{path}\n{file_prompt(prefix, suffix)}"
