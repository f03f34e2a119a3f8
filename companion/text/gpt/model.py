"""GPT-2 as published: a decoder-only transformer that predicts the next token.

Radford et al., "Language Models are Unsupervised Multitask Learners", OpenAI, 2019, section 2.3; the architecture follows
GPT (Radford et al. 2018) with the norms moved to each half's input and one more at the end:

    x = W_token[ids] + W_position[0 … T-1]                                                   (eq-gpt-input)
    x ← x + Attention(LN(x)),  x ← x + MLP(LN(x)),  once a layer                             (eq-gpt-block)
    logits = LN(x) W_tokenᵀ                                                                  (eq-gpt-output)

The token table is input and output at once (Press & Wolf 2016, arXiv:1608.05859). Weights start from N(0, 0.02²); those of
the two maps that write into the stream are divided by √(2 · layers), so that its variance does not grow with the depth.

`GPT.from_pretrained` reads the published format: a folder with ``config.json`` and ``model.safetensors``, whose linear maps
are stored transposed and whose queries, keys and values lie in one matrix.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from companion.language.contract import check_tokens, positions_of
from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache, KVState
from companion.nn.mlp import MLP
from companion.validate import check_count, check_number


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
    """

    vocab_size: int = 50_257
    context: int = 1024
    width: int = 768
    layers: int = 12
    heads: int = 12
    dropout: float = 0.0
    norm_eps: float = 1e-5
    init_std: float = 0.02

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "width", "layers", "heads"):
            check_count(name, getattr(self, name))
        check_number("dropout", self.dropout, low=0, high=1)
        check_number("init_std", self.init_std, low=0, open_low=True)


class GPTBlock(nn.Module):
    """Causal attention, then an MLP, each on a normalised copy of the stream (eq-gpt-block)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.attention = MultiHeadAttention(config.width, config.heads, dropout=config.dropout)
        self.mlp_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.mlp = MLP(config.width, 4 * config.width)
        self.dropout = config.dropout

    def forward(
        self, x: Float[Tensor, "batch n width"], cache: KVCache | None = None, key_mask: Tensor | None = None
    ) -> Float[Tensor, "batch n width"]:
        """Map the stream, shape (batch, n, width); with a cache, x holds only the new positions."""
        x = x + self._drop(self.attention(self.attention_norm(x), causal=True, cache=cache, key_mask=key_mask))
        return x + self._drop(self.mlp(self.mlp_norm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


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
        self.blocks = nn.ModuleList(GPTBlock(config) for _ in range(config.layers))
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
    def from_pretrained(cls, folder: str | Path) -> "GPT":
        """Read a GPT-2 in the published format from a folder with ``config.json`` and ``model.safetensors``.

        Raises:
            FileNotFoundError: one of the two files is not there.
            ValueError: another kind of model, or weights that do not fit the configuration.
        """
        folder = Path(folder)
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = (about.get("model_type"), about.get("activation_function", "gelu_new"), about.get("n_inner"))
        if kind[:2] != ("gpt2", "gelu_new") or kind[2] not in (None, 4 * about["n_embd"]):
            raise ValueError(
                f"{folder}: got {kind}, wanted a gpt2 with gelu_new and an inner width of four times n_embd"
            )
        model = cls(
            GPTConfig(
                vocab_size=about["vocab_size"],
                context=about["n_positions"],
                width=about["n_embd"],
                layers=about["n_layer"],
                heads=about["n_head"],
                norm_eps=about.get("layer_norm_epsilon", 1e-5),
            )
        )
        model.load_state_dict(_from_published(load_file(folder / "model.safetensors"), about["n_layer"], str(folder)))
        return model.eval()


_BLOCK_NAMES = {
    "ln_1": "attention_norm",
    "ln_2": "mlp_norm",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "mlp.widen",
    "mlp.c_proj": "mlp.narrow",
}


def _from_published(published: dict[str, Tensor], layers: int, where: str) -> dict[str, Tensor]:
    """The published tensors under this module's names: linear maps turned, queries, keys and values parted."""
    published = {name.removeprefix("transformer."): tensor for name, tensor in published.items()}
    try:
        ours = {"tokens.weight": published["wte.weight"], "positions.weight": published["wpe.weight"]}
        for part in ("weight", "bias"):
            ours[f"norm.{part}"] = published[f"ln_f.{part}"]
            for i in range(layers):
                for theirs, name in _BLOCK_NAMES.items():
                    tensor = published[f"h.{i}.{theirs}.{part}"]
                    ours[f"blocks.{i}.{name}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
                parts = published[f"h.{i}.attn.c_attn.{part}"].chunk(3, dim=-1)
                for name, tensor in zip("qkv", parts, strict=True):
                    ours[f"blocks.{i}.attention.{name}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    except KeyError as missing:
        raise ValueError(f"{where}: got weights without {missing}, wanted those of a GPT-2") from missing
    return ours
