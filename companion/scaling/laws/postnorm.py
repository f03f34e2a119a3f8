"""The Transformer's decoder of 2017, as a language model: norms after each part, sines added to the input, a ReLU.

    x = √w W_token[ids] + PE,  PE of (eq-sinusoidal)                                         (eq-postnorm-input)
    x ← LN(x + Attention(x)),  x ← LN(x + MLP(x)),  once a layer                             (eq-postnorm-block)
    MLP(x) = W₂ max(0, W₁ x + b₁) + b₂,  logits = x W_tokenᵀ                                 (eq-postnorm-output)

The norm stands on the stream itself, so nothing reaches the output unchanged; GPT-2 moved it to the entrance of each part
(`companion.nn.transformer_block`), where the sum of all parts goes straight through.

Source: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, sections 3.1 to 3.5. Departures: there is no
encoder and so no attention to one, as in the first GPT (Radford et al. 2018); no dropout.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens, positions_of
from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import KVCache, KVState
from companion.nn.positions import sinusoidal
from companion.validate import Count, checked

__all__ = ["PostNormBlock", "PostNormConfig", "PostNormTransformer"]


@checked
@dataclass(frozen=True)
class PostNormConfig:
    """The sizes: tokens, how many are read at once, the stream's width, blocks, heads; the MLP is four times as wide.

    Raises:
        ValueError: an odd width, or one that the heads do not divide.
    """

    vocab_size: Count
    context: Count
    width: Count
    layers: Count
    heads: Count

    def __post_init__(self) -> None:
        if self.width % 2 or self.width % self.heads:
            raise ValueError(f"width: got {self.width}, wanted an even multiple of the {self.heads} heads")


class PostNormBlock(nn.Module):
    """Causal attention, then an MLP, each added to the stream, which is then normalised (eq-postnorm-block)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "batch n width"],
        cache: KVCache | None = None,
        key_mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch n width"]:
        """Map the stream; arguments as of `companion.nn.transformer_block.TransformerBlock`."""
        x = self.attention_norm(x + self.attention(x, causal=True, cache=cache, key_mask=key_mask))
        return self.mlp_norm(x + self.narrow(self.widen(x).relu()))


class PostNormTransformer(nn.Module):
    """Tokens in, logits of the next token out (eq-postnorm-input to eq-postnorm-output)."""

    def __init__(self, config: PostNormConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(PostNormBlock(config.width, config.heads) for _ in range(config.layers))
        self.register_buffer("sines", sinusoidal(config.context, config.width), persistent=False)

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: KVState | None = None,
        attention_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> Float[Tensor, "batch n vocab_size"]:
        """Logits of the next token at each position.

        Args:
            input_ids: token numbers.
            past_key_values: of `new_state`; then ``input_ids`` holds only the new tokens.
            attention_mask: True at real tokens and False at padding, those in the state included.

        Raises:
            ValueError: token numbers out of range, or more positions than the context.
        """
        start, n = check_tokens(input_ids, past_key_values, self.config.vocab_size), input_ids.shape[1]
        if start + n > self.config.context:
            raise ValueError(f"input_ids: got position {start + n}, wanted at most {self.config.context}, the context")
        positions = slice(start, start + n) if attention_mask is None else positions_of(attention_mask, n)
        x = self.tokens(input_ids) * self.config.width**0.5 + self.sines[positions]
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], attention_mask)
        return x @ self.tokens.weight.T

    def new_state(self, batch: int) -> KVState:
        """The caches of a text of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)
