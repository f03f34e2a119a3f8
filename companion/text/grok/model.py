"""Grok-1: a decoder-only transformer in which a mixture of experts takes the place of each MLP.

Source: the published code, github.com/xai-org/grok-1 (March 2024, Apache-2.0); there is no paper. The block has four norms
(`companion.nn.sandwich_block`), its MLP is a `companion.nn.moe.MoE`:

    x = √d W_token[ids],  x ← block(x) once a layer,  logits = RMSNorm(x) W_tokenᵀ / √3       (eq-grok)

Grok-1 has 64 layers of width 6,144, 48 heads that share 8 heads of keys and values, and 8 experts of hidden width 32,768 in
each layer, of which 2 run for a token. By these sizes that is 316 billion parameters (xAI says 314), of which a token uses 84.

What the experts add passes a norm, which divides out whatever number a token's gates are all multiplied by. So it makes no
difference to the logits whether the gates of the chosen are divided by their sum (`tests/text/grok/test_model.py`), though it
does in Mixtral, where no norm follows.

`companion.text.grok.config` lists where it differs from Mixtral, and has a switch for each: `Grok.from_pretrained` reads
Mixtral's published format. Departures: Grok-1's own weights were published as Python pickles of 8-bit numbers, which this
course does not load; the code masks tokens of number 0 as padding, here a mask says what is padding; it computes in bfloat16.
"""

import math
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens
from companion.nn.attention import MultiHeadAttention
from companion.nn.attention_mods import SoftCap
from companion.nn.kv_cache import KVState
from companion.nn.mlp import GatedMLP, GeGLU
from companion.nn.moe import MoE, Router
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.nn.published import fill, read_config, read_tensors
from companion.nn.sandwich_block import SandwichBlock
from companion.nn.transformer_block import TransformerBlock
from companion.text.grok.config import PUBLISHED, GrokConfig, config_from_published


def grok_block(config: GrokConfig, rotary: Rotary) -> TransformerBlock:
    """Causal attention with capped scores, then the experts, with a norm before and after each."""
    attention = MultiHeadAttention(
        config.width,
        config.heads,
        kv_heads=config.kv_heads,
        head_width=config.head_width,
        bias=False,
        rotary=rotary,
        score_mod=None if config.score_cap is None else SoftCap(config.score_cap),
    )
    expert = partial(GeGLU if config.bend == "gelu" else GatedMLP, config.width, config.hidden)
    if config.experts == 1:
        mlp = expert()
    else:
        router = Router(
            config.width,
            config.experts,
            config.active,
            renormalised=config.renormalised,
            nudged=config.nudged,
        )
        mlp = MoE(router, expert)
    block = SandwichBlock if config.sandwich else TransformerBlock
    return block(attention, mlp, lambda: RMSNorm(config.width, eps=config.norm_eps))


class Grok(nn.Module):
    """Grok-1: tokens in, logits of the next token out (eq-grok).

    Args:
        config: the sizes.

    Raises:
        ValueError: sizes that do not divide.
    """

    def __init__(self, config: GrokConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        rotary = Rotary(config.head_width or config.width // config.heads, base=config.rope_base)
        self.blocks = nn.ModuleList(grok_block(config, rotary) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, eps=config.norm_eps)
        self.out = nn.Linear(config.width, config.vocab_size, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
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
        scale = math.sqrt(self.config.width) if self.config.embedding_scale is None else self.config.embedding_scale
        x = self.tokens(input_ids) * scale
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], key_mask=attention_mask)
        return self.out(self.norm(x)) * self.config.logit_scale

    def new_state(self, batch: int) -> KVState:
        """The caches of a text of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> "Grok":
        """Read a Mixtral in the published format from a folder with ``config.json`` and safetensors, sharded or not.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: another kind of model, a field that would change the numbers and is not implemented, or weights that
                do not fit; the message names them.
        """
        config = config_from_published(read_config(folder, PUBLISHED), str(folder))
        return fill(cls(config), read_tensors(folder), _NAMES, where=str(folder), dtype=dtype)


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
    "model.layers.*.block_sparse_moe.gate": "blocks.*.mlp.router",
    "model.layers.*.block_sparse_moe.experts.*.w1": "blocks.*.mlp.experts.*.gate",
    "model.layers.*.block_sparse_moe.experts.*.w2": "blocks.*.mlp.experts.*.down",
    "model.layers.*.block_sparse_moe.experts.*.w3": "blocks.*.mlp.experts.*.up",
}
