"""Llama: the decoder-only transformer that today's open models share.

Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, arXiv:2302.13971; grouped queries from
Llama 2, 2023, arXiv:2307.09288. The block is `companion.nn.llama_block.LlamaBlock` (eq-llama-block):

    x = W_token[ids],  x ← block(x) once a layer,  logits = RMSNorm(x) W_outᵀ                (eq-llama)

No table of positions: the rotary angles are computed, so the context is a choice of training, not a size of a matrix. The
smaller published models tie W_out to W_token, and so do the miniatures here.

`Llama.from_pretrained` reads the published format: a folder with ``config.json`` and ``model.safetensors``. Departure:
rotary frequencies that are rescaled for long contexts (Llama 3.1) are refused, not guessed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from companion.language.contract import check_tokens
from companion.nn.kv_cache import KVState
from companion.nn.llama_block import LlamaBlock
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.validate import check_count, check_number


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
    """

    vocab_size: int
    context: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    rope_base: float = 10_000.0
    norm_eps: float = 1e-6
    tied: bool = True
    init_std: float = 0.02
    gated_attention: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "width", "layers", "heads", "kv_heads", "hidden"):
            check_count(name, getattr(self, name))
        check_number("rope_base", self.rope_base, low=1, open_low=True)
        check_number("init_std", self.init_std, low=0, open_low=True)
        if self.width % (2 * self.heads):
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

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        rotary = Rotary(config.width // config.heads, base=config.rope_base)
        self.blocks = nn.ModuleList(
            LlamaBlock(
                config.width,
                config.heads,
                config.hidden,
                rotary,
                kv_heads=config.kv_heads,
                norm_eps=config.norm_eps,
                gated_attention=config.gated_attention,
            )
            for _ in range(config.layers)
        )
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
        x = self.tokens(input_ids)
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], key_mask=attention_mask)
        return self.out(self.norm(x))

    def new_state(self, batch: int) -> KVState:
        """The caches of a text of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Llama":
        """Read a Llama in the published format from a folder with ``config.json`` and ``model.safetensors``.

        Raises:
            FileNotFoundError: one of the two files is not there.
            ValueError: another kind of model, rescaled rotary frequencies, or weights that do not fit.
        """
        folder = Path(folder)
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        rope = about.get("rope_parameters") or about.get("rope_scaling") or {}
        if about.get("model_type") != "llama" or rope.get("rope_type", "default") != "default":
            raise ValueError(
                f"{folder}: got {about.get('model_type')!r} with rotary type {rope.get('rope_type')!r}, "
                "wanted a llama with the default one"
            )
        model = cls(
            LlamaConfig(
                vocab_size=about["vocab_size"],
                context=about["max_position_embeddings"],
                width=about["hidden_size"],
                layers=about["num_hidden_layers"],
                heads=about["num_attention_heads"],
                kv_heads=about.get("num_key_value_heads") or about["num_attention_heads"],
                hidden=about["intermediate_size"],
                rope_base=rope.get("rope_theta") or about.get("rope_theta") or 10_000.0,
                norm_eps=about["rms_norm_eps"],
                tied=about.get("tie_word_embeddings", False),
            )
        )
        model.load_state_dict(from_published(load_file(folder / "model.safetensors"), model.config, str(folder)))
        return model.eval()


_BLOCK_NAMES = {
    "input_layernorm": "attention_norm",
    "self_attn.q_proj": "attention.q",
    "self_attn.k_proj": "attention.k",
    "self_attn.v_proj": "attention.v",
    "self_attn.o_proj": "attention.out",
    "post_attention_layernorm": "mlp_norm",
    "mlp.gate_proj": "mlp.gate",
    "mlp.up_proj": "mlp.up",
    "mlp.down_proj": "mlp.down",
}


def from_published(published: dict[str, Tensor], config: LlamaConfig, where: str) -> dict[str, Tensor]:
    """The published tensors under this module's names."""
    try:
        ours = {"tokens.weight": published["model.embed_tokens.weight"], "norm.weight": published["model.norm.weight"]}
        ours["out.weight"] = ours["tokens.weight"] if config.tied else published["lm_head.weight"]
        for i in range(config.layers):
            for theirs, name in _BLOCK_NAMES.items():
                ours[f"blocks.{i}.{name}.weight"] = published[f"model.layers.{i}.{theirs}.weight"]
    except KeyError as missing:
        raise ValueError(f"{where}: got weights without {missing}, wanted those of a Llama") from missing
    return ours
