"""Gemma 2 and 3: the decoder-only transformer of Google's open models.

Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, arXiv:2408.00118; "Gemma 3 Technical Report",
2025, arXiv:2503.19786. The block has four norms (`companion.nn.sandwich_block`, eq-sandwich-block):

    x = √d W_token[ids],  x ← block(x) once a layer,  logits = cap(Norm(x) W_tokenᵀ)          (eq-gemma)

The token table is input and output at once. An output matrix wants small numbers and a stream large ones, so what is read from
the table is multiplied by √d; the published models round √d to the table's own precision, and so does this class.

Most layers are local: they see a window (`companion.nn.attention_mods`), and when the model writes they keep the keys and
values of no more (`companion.nn.kv_cache.WindowKVCache`). Every second layer (Gemma 2) or sixth (Gemma 3) sees the whole text.
What holds the scores of attention in bounds is a soft cap in Gemma 2, and norms of queries and keys in Gemma 3
(`companion.text.gemma.config`). MLPs are `companion.nn.mlp.GeGLU`, norms `companion.nn.norms.ZeroCentredRMSNorm`.

`Gemma.from_pretrained` reads the published format of both. Departure: Gemma 3's larger models also see pictures; this is the
part that reads and writes text.
"""

import math
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens
from companion.nn.attention import MultiHeadAttention
from companion.nn.attention_mods import SoftCap, Window
from companion.nn.kv_cache import KVCache, KVState, WindowKVCache
from companion.nn.mlp import GeGLU
from companion.nn.norms import ZeroCentredRMSNorm
from companion.nn.positions import Rotary
from companion.nn.published import fill, read_config, read_tensors
from companion.nn.sandwich_block import SandwichBlock
from companion.text.gemma.config import GEMMA2, GEMMA3, GemmaConfig, config_from_published

SPARE = 8
"""How many tokens a state can forget again once a text is longer than the window: as many as speculative decoding drafts."""


def gemma_block(config: GemmaConfig, rotary: Rotary, *, local: bool) -> SandwichBlock:
    """Causal attention over the window or over the whole past, then a gated MLP, with a norm before and after each."""
    norm = partial(ZeroCentredRMSNorm, eps=config.norm_eps)
    scalar = config.head_width if config.query_scalar is None else config.query_scalar
    attention = MultiHeadAttention(
        config.width,
        config.heads,
        kv_heads=config.kv_heads,
        head_width=config.head_width,
        bias=False,
        scale=1 / math.sqrt(scalar),
        rotary=rotary,
        qk_norm=norm if config.qk_norm else None,
        score_mod=None if config.score_cap is None else SoftCap(config.score_cap),
        mask_mod=Window(config.window) if local else None,
    )
    return SandwichBlock(attention, GeGLU(config.width, config.hidden), lambda: norm(config.width))


class Gemma(nn.Module):
    """Gemma 2 or 3: tokens in, logits of the next token out (eq-gemma).

    Args:
        config: the sizes.

    Raises:
        ValueError: sizes that do not divide.
    """

    def __init__(self, config: GemmaConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        near = Rotary(config.head_width, base=config.local_base)
        far = Rotary(config.head_width, base=config.global_base, stretch=config.global_stretch)
        self.blocks = nn.ModuleList(
            gemma_block(config, near if config.is_local(i) else far, local=config.is_local(i))
            for i in range(config.layers)
        )
        self.norm = ZeroCentredRMSNorm(config.width, eps=config.norm_eps)
        self.cap = None if config.logit_cap is None else SoftCap(config.logit_cap)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=config.init_std)

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
            attention_mask: True at real tokens and False at padding, shape (batch, keys), all that was read included. Padding
                in front shifts all positions of a row alike, which neither rotary ones nor windows notice.

        Raises:
            ValueError: token numbers out of range.
        """
        check_tokens(input_ids, past_key_values, self.config.vocab_size)
        table = self.tokens.weight
        x = self.tokens(input_ids) * table.new_tensor(math.sqrt(self.config.width))  # rounded as the table is
        for i, block in enumerate(self.blocks):
            cache = None if past_key_values is None else past_key_values[i]
            x = block(x, cache, key_mask=_of_what_is_seen(attention_mask, cache))
        logits = self.norm(x) @ table.T
        return logits if self.cap is None else self.cap(logits)

    def new_state(self, batch: int) -> KVState:
        """The caches of a text of which nothing was read yet, those of local layers of the window alone."""
        config = self.config
        return KVState(
            WindowKVCache(config.window, spare=SPARE) if config.is_local(i) else KVCache() for i in range(config.layers)
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> "Gemma":
        """Read a Gemma 2 or 3 in the published format from a folder with ``config.json`` and safetensors, sharded or not.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: another kind of model, a field that would change the numbers and is not implemented, or weights that
                do not fit; the message names them.
        """
        config = config_from_published(read_config(folder, GEMMA2, GEMMA3), str(folder))
        return fill(cls(config), read_tensors(folder), _NAMES, where=str(folder), dtype=dtype)


def _of_what_is_seen(mask: Tensor | None, cache: KVCache | None) -> Tensor | None:
    """The part of a mask of all that was read that belongs to the keys which a layer gets from its cache."""
    return mask if mask is None or cache is None else mask[:, cache.first :]


_NAMES = {
    "model.embed_tokens": "tokens",
    "lm_head": "tokens",
    "model.norm": "norm",
    "model.layers.*.input_layernorm": "blocks.*.attention_norm",
    "model.layers.*.post_attention_layernorm": "blocks.*.attention_out_norm",
    "model.layers.*.pre_feedforward_layernorm": "blocks.*.mlp_norm",
    "model.layers.*.post_feedforward_layernorm": "blocks.*.mlp_out_norm",
    "model.layers.*.self_attn.q_proj": "blocks.*.attention.q",
    "model.layers.*.self_attn.k_proj": "blocks.*.attention.k",
    "model.layers.*.self_attn.v_proj": "blocks.*.attention.v",
    "model.layers.*.self_attn.o_proj": "blocks.*.attention.out",
    "model.layers.*.self_attn.q_norm": "blocks.*.attention.q_norm",
    "model.layers.*.self_attn.k_norm": "blocks.*.attention.k_norm",
    "model.layers.*.mlp.gate_proj": "blocks.*.mlp.gate",
    "model.layers.*.mlp.up_proj": "blocks.*.mlp.up",
    "model.layers.*.mlp.down_proj": "blocks.*.mlp.down",
}
