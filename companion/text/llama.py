"""Llama: the decoder-only transformer that today's open models share.

Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv:2302.13971; grouped queries from
Llama 2, 2023, arXiv:2307.09288. The block is `companion.nn.llama_block` (eq-llama-block):

    x = W_token[ids],  x ← block(x) once a layer,  logits = RMSNorm(x) W_outᵀ                (eq-llama)

No table of positions: the rotary angles are computed, so the context is a choice of training, not a size of a matrix. The
smaller published models tie W_out to W_token, and so do the miniatures here.

`Llama.from_pretrained` reads the published format (`companion.nn.published`). Departure: what the published configuration can
switch on and this class has not, such as biases or rotary frequencies that are rescaled for long contexts (Llama 3.1), is
refused, not guessed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens
from companion.nn.kv_cache import KVState
from companion.nn.llama_block import llama_block
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.nn.published import HARMLESS, WANTED, Fields, fill, read_config, read_tensors, rope_of
from companion.validate import Count, Positive, Range, checked


@checked
@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama.

    Attributes:
        vocab_size: how many tokens there are.
        context: how many tokens it is trained to read.
        width: of the stream.
        layers: how many blocks.
        heads: of the queries.
        kv_heads: of the keys and values.
        hidden: of the gated MLPs; 8/3 of the width gives as many parameters as a plain MLP of four times the width.
        rope_base: of the rotary frequencies.
        norm_eps: of the norms.
        tied: whether the output matrix is the token table.
        init_std: of the normal distribution that all matrices start from. The usual 0.02 suits widths of thousands, where
            it is about 1/√width; at width 128 that is 0.09, and a model that starts there learns faster.
        gated_attention: whether what attention found passes a gate, as in Qwen3-Next; no published Llama has one.
        head_width: of a head; width / heads if not given.
        qkv_bias: whether queries, keys and values have biases, as in Qwen2; no published Llama has them.
    """

    vocab_size: Count
    context: Count
    width: Count
    layers: Count
    heads: Count
    kv_heads: Count
    hidden: Count
    rope_base: Annotated[float, Range(1, open_low=True)] = 10_000.0
    norm_eps: float = 1e-6
    tied: bool = True
    init_std: Positive = 0.02
    gated_attention: bool = False
    head_width: Count | None = None
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        if self.head_width is None and self.width % (2 * self.heads):
            raise ValueError(
                f"width: got {self.width}, wanted a multiple of 2 × {self.heads} heads: rotary turns pairs"
            )


class Llama(nn.Module):
    """Llama: tokens in, logits of the next token out (eq-llama).

    Args:
        config: the sizes.

    Raises:
        ValueError: sizes that do not divide.
    """

    published: ClassVar[Fields] = Fields(
        kind=("model_type", "llama"),
        read={
            "vocab_size": WANTED,
            "hidden_size": WANTED,
            "intermediate_size": WANTED,
            "num_hidden_layers": WANTED,
            "num_attention_heads": WANTED,
            "num_key_value_heads": None,
            "head_dim": None,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "rope_parameters": None,
            "rope_scaling": None,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": False,
        },
        fixed={
            "hidden_act": ("silu", "swish"),
            "attention_bias": (False,),
            "mlp_bias": (False,),
            "is_encoder_decoder": (False,),
            "per_layer_config": (None,),
            "pruned_heads": (None, {}),
        },
        harmless=HARMLESS | {"attention_dropout", "pretraining_tp"},
    )

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        head_width = config.head_width or config.width // config.heads
        rotary = Rotary(head_width, base=config.rope_base)
        self.blocks = nn.ModuleList(
            llama_block(
                config.width,
                config.heads,
                config.hidden,
                rotary,
                kv_heads=config.kv_heads,
                head_width=head_width,
                norm_eps=config.norm_eps,
                qkv_bias=config.qkv_bias,
                gated_attention=config.gated_attention,
            )
            for _ in range(config.layers)
        )
        self.norm = RMSNorm(config.width, eps=config.norm_eps)
        self.out = nn.Linear(config.width, config.vocab_size, bias=False)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=config.init_std)
        if config.tied:
            self.out.weight = self.tokens.weight

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: KVState | None = None,
        attention_mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch n vocab_size"]:
        """Logits of the next token at each position.

        Args:
            input_ids: token numbers, shape (batch, n).
            past_key_values: of `new_state`; then ``input_ids`` holds only the new tokens.
            attention_mask: True at real tokens and False at padding, shape (batch, keys), the state's included. Padding
                in front shifts all positions of a row alike, which rotary ones do not notice.

        Raises:
            ValueError: token numbers out of range.
        """
        check_tokens(input_ids, past_key_values, self.config.vocab_size)
        x = self.tokens(input_ids)
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], key_mask=attention_mask)
        return self.out(self.norm(x))

    def new_state(self, batch: int) -> KVState:
        """The caches of a text of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> "Llama":
        """Read a model in the published format from a folder with ``config.json`` and safetensors, sharded or not.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: another kind of model, a field that would change the numbers and is not implemented, or weights that
                do not fit; the message names them.
        """
        fields = read_config(folder, cls.published)
        model = cls(config_from_published(fields, str(folder)))
        ignored = ["model.layers.*.self_attn.rotary_emb.inv_freq"]  # which old files store
        return fill(model, read_tensors(folder), _NAMES, where=str(folder), dtype=dtype, ignored=ignored)


_NAMES = {
    "model.embed_tokens": "tokens",
    "model.norm": "norm",
    "lm_head": "out",
    "model.layers.*.input_layernorm": "blocks.*.attention_norm",
    "model.layers.*.self_attn.q_proj": "blocks.*.attention.q",
    "model.layers.*.self_attn.k_proj": "blocks.*.attention.k",
    "model.layers.*.self_attn.v_proj": "blocks.*.attention.v",
    "model.layers.*.self_attn.o_proj": "blocks.*.attention.out",
    "model.layers.*.post_attention_layernorm": "blocks.*.mlp_norm",
    "model.layers.*.mlp.gate_proj": "blocks.*.mlp.gate",
    "model.layers.*.mlp.up_proj": "blocks.*.mlp.up",
    "model.layers.*.mlp.down_proj": "blocks.*.mlp.down",
}


def config_from_published(fields: dict[str, Any], where: str) -> LlamaConfig:
    """A `LlamaConfig` from the fields of a published one.

    Raises:
        ValueError: rotary frequencies that are rescaled, or layers with windows of attention.
    """
    base = fields["rope_theta"]
    for name in ("rope_scaling", "rope_parameters"):  # the old name and the new
        own, _ = rope_of(fields[name], name, where)
        base = base if own is None else own
    if set(fields.get("layer_types") or ["full_attention"]) != {"full_attention"}:
        raise ValueError(f"{where}: got layer_types = {fields['layer_types']}, wanted only 'full_attention'")
    return LlamaConfig(
        vocab_size=fields["vocab_size"],
        context=fields["max_position_embeddings"],
        width=fields["hidden_size"],
        layers=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        kv_heads=fields["num_key_value_heads"] or fields["num_attention_heads"],
        hidden=fields["intermediate_size"],
        rope_base=base,
        norm_eps=fields["rms_norm_eps"],
        tied=fields["tie_word_embeddings"],
        head_width=fields["head_dim"],
    )
