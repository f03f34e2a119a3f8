"""GPT-2 as published: a decoder-only transformer that predicts the next token.

Radford et al., "Language Models are Unsupervised Multitask Learners", OpenAI, 2019, section 2.3; the architecture follows
GPT (Radford et al. 2018) with the norms moved to each half's input and one more at the end:

    x = W_token[ids] + W_position[0 … T-1]                                                   (eq-gpt-input)
    x ← x + Attention(LN(x)),  x ← x + MLP(LN(x)),  once a layer                             (eq-gpt-block)
    logits = LN(x) W_tokenᵀ                                                                  (eq-gpt-output)

The token table is input and output at once (Press & Wolf 2016, arXiv:1608.05859). Weights start from N(0, 0.02²); those of
the two maps that write into the stream are divided by √(2 · layers), so that its variance does not grow with the depth.

`GPT.from_pretrained` reads the published format (`companion.nn.published`), whose linear maps are stored transposed and whose
queries, keys and values lie in one matrix.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.language.contract import check_tokens, positions_of
from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVState
from companion.nn.mlp import MLP
from companion.nn.published import HARMLESS, Fields, fill, read_config, read_tensors
from companion.nn.transformer_block import TransformerBlock
from companion.validate import Count, Positive, Share, checked


@checked
@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT-2; the defaults are the small one's, 124 M parameters.

    Attributes:
        vocab_size: how many tokens there are.
        context: how many positions the model knows.
        width: of the stream.
        layers: how many blocks.
        heads: of each attention.
        dropout: on the input, the attention weights and the two halves' outputs, in training mode.
        norm_eps: of the layer norms.
        init_std: of the normal distribution that the matrices start from; see `companion.text.llama.LlamaConfig`.
        hidden: of the MLPs; four times the width if not given.
    """

    vocab_size: Count = 50_257
    context: Count = 1024
    width: Count = 768
    layers: Count = 12
    heads: Count = 12
    dropout: Share = 0.0
    norm_eps: float = 1e-5
    init_std: Positive = 0.02
    hidden: Count | None = None


def gpt_block(config: GPTConfig) -> TransformerBlock:
    """Causal attention, then an MLP, each on a normalised copy of the stream (eq-gpt-block)."""
    return TransformerBlock(
        MultiHeadAttention(config.width, config.heads, dropout=config.dropout),
        MLP(config.width, 4 * config.width if config.hidden is None else config.hidden),
        lambda: nn.LayerNorm(config.width, config.norm_eps),
        dropout=config.dropout,
    )


class GPT(nn.Module):
    """GPT-2: tokens in, logits of the next token out.

    Args:
        config: the sizes.

    Raises:
        ValueError: sizes that do not divide, or out of range.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(gpt_block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                writes = name.endswith(("attention.out.weight", "mlp.narrow.weight"))
                nn.init.normal_(parameter, std=config.init_std / (math.sqrt(2 * config.layers) if writes else 1))

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
            attention_mask: True at real tokens and False at padding, shape (batch, keys), the state's included. Positions
                are counted from each row's first real token.

        Raises:
            ValueError: token numbers out of range, or more positions than the model knows.
        """
        start = check_tokens(input_ids, past_key_values, self.config.vocab_size)
        n = input_ids.shape[1]
        if start + n > self.config.context:
            raise ValueError(f"input_ids: got position {start + n}, wanted at most {self.config.context}, the context")
        positions = slice(start, start + n) if attention_mask is None else positions_of(attention_mask, n)
        x = self.tokens(input_ids) + self.positions.weight[positions]
        if self.config.dropout:
            x = F.dropout(x, self.config.dropout, self.training)
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], attention_mask)
        return self.norm(x) @ self.tokens.weight.T

    def new_state(self, batch: int) -> KVState:
        """The caches of a text of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> "GPT":
        """Read a GPT-2 in the published format from a folder with ``config.json`` and safetensors, sharded or not.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: another kind of model, a field that would change the numbers and is not implemented, or weights that
                do not fit; the message names them.
        """
        fields = read_config(folder, _FIELDS)
        config = GPTConfig(
            vocab_size=fields["vocab_size"],
            context=fields["n_positions"],
            width=fields["n_embd"],
            layers=fields["n_layer"],
            heads=fields["n_head"],
            norm_eps=fields["layer_norm_epsilon"],
            hidden=fields["n_inner"],
        )
        # Files of the first release have no prefix.
        tensors = {name.removeprefix("transformer."): tensor for name, tensor in read_tensors(folder).items()}
        return fill(
            cls(config), tensors, _NAMES, where=str(folder), dtype=dtype, transposed=_TRANSPOSED, ignored=_MASKS
        )


_FIELDS = Fields(
    kind=("model_type", "gpt2"),
    read={
        "vocab_size": 50_257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": None,
        "layer_norm_epsilon": 1e-5,
    },
    fixed={
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False,),
        "add_cross_attention": (False,),
        "tie_word_embeddings": (True,),
        "is_encoder_decoder": (False,),
        "per_layer_config": (None,),
        "pruned_heads": (None, {}),
    },
    harmless=HARMLESS
    | {"resid_pdrop", "embd_pdrop", "attn_pdrop", "n_ctx"}  # of training; a second name for n_positions
    | {"summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout"},
)
_NAMES = {
    "wte": "tokens",
    "lm_head": "tokens",
    "wpe": "positions",
    "ln_f": "norm",
    "h.*.ln_1": "blocks.*.attention_norm",
    "h.*.ln_2": "blocks.*.mlp_norm",
    "h.*.attn.c_attn": ("blocks.*.attention.q", "blocks.*.attention.k", "blocks.*.attention.v"),
    "h.*.attn.c_proj": "blocks.*.attention.out",
    "h.*.mlp.c_fc": "blocks.*.mlp.widen",
    "h.*.mlp.c_proj": "blocks.*.mlp.narrow",
}
_TRANSPOSED = ("h.*.attn.c_attn", "h.*.attn.c_proj", "h.*.mlp.c_fc", "h.*.mlp.c_proj")
_MASKS = ("h.*.attn.bias", "h.*.attn.masked_bias")  # the first files hold the causal mask
