"""Qwen2.5-Coder: the block of Llama with biases on queries, keys and values, and tokens for files and repositories.

    q = W_q x + b_q,  k = W_k x + b_k,  v = W_v x + b_v,  and no other bias                   (eq-code-qwen)

Hui et al., "Qwen2.5-Coder Technical Report", 2024, arXiv:2409.12186; the block is that of Qwen2 (arXiv:2407.10671): grouped
queries, rotary positions, gated MLP and RMS norm as in `companion.text.llama`. `Qwen.from_pretrained` reads the published
format, so this code runs the published weights. Departure: what the published configuration can switch on and the coder models
do not use, windows of attention and rescaled rotary frequencies, is refused, not guessed.

The tokens at the cursor are those of the report: prefix first, then suffix (the order called PSM); for a repository the
other files come before, each behind its name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from companion.nn.published import HARMLESS, Fields
from companion.text.llama import Llama, LlamaConfig


class Qwen(Llama):
    """Qwen2.5 as published: a Llama whose queries, keys and values have biases (eq-code-qwen).

    Args:
        config: the sizes.
    """

    published: ClassVar[Fields] = Fields(
        kind=("model_type", "qwen2"),
        read=Llama.published.read | {"max_position_embeddings": 32_768, "num_key_value_heads": 32, "layer_types": None},
        fixed={
            "hidden_act": ("silu", "swish"),
            "use_sliding_window": (False,),
            "use_mrope": (False,),
            "is_encoder_decoder": (False,),
            "per_layer_config": (None,),
            "pruned_heads": (None, {}),
        },
        # Without use_sliding_window, its width and its layers say nothing.
        harmless=HARMLESS | {"attention_dropout", "sliding_window", "max_window_layers"},
    )

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(replace(config, qkv_bias=True))


def file_prompt(prefix: str, suffix: str) -> str:
    """What Qwen2.5-Coder is given at a cursor within one file."""
    return f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>"


def repository_prompt(name: str, files: Mapping[str, str], path: str, prefix: str, suffix: str) -> str:
    """What it is given at a cursor within a repository: the repository's name, other files by their paths, this file last."""
    others = "".join(f"<|file_sep|>{other}\n{text}\n" for other, text in files.items())
    return f"<|repo_name|>{name}\n{others}<|file_sep|>{path}\n{file_prompt(prefix, suffix)}"
