"""An encoder-decoder transformer that reads a string and writes another, attending to the input at every step.

Vaswani et al. 2017, arXiv:1706.03762, with three departures: the norms stand before each part and not after it
("pre-norm", Xiong et al. 2020, arXiv:2002.04745), input and output share no embeddings, and symbols are characters.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.foundations.attention.seq2seq import PAD, Memory
from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import CrossKVState, KVState
from companion.nn.positions import Rotary, sinusoidal
from companion.nn.transformer_block import CrossBlock, TransformerBlock
from companion.validate import Count, Share, check_labels, checked


@checked
@dataclass(frozen=True)
class AttentionConfig:
    """Sizes of an `AttentionTranslator`.

    Attributes:
        sources: symbols of the input, padding included.
        targets: symbols of the output, the start symbol included.
        width: channels at each place.
        heads: of each attention.
        encoders: blocks that read.
        decoders: blocks that write.
        positions: ``"rotary"``, in every self-attention; ``"sinusoidal"``, added once to the embeddings; or ``"none"``.
        dropout: share of the attention weights dropped in training.
    """

    sources: Count
    targets: Count
    width: Count = 64
    heads: Count = 4
    encoders: Count = 1
    decoders: Count = 1
    positions: Literal["rotary", "sinusoidal", "none"] = "rotary"
    dropout: Share = 0.0


def encoder_block(config: AttentionConfig) -> TransformerBlock:
    """Each place of the source looks at all of it."""
    return TransformerBlock(
        _self_attention(config), _mlp(config.width), partial(nn.LayerNorm, config.width), causal=False
    )


def decoder_block(config: AttentionConfig) -> CrossBlock:
    """Each place of the target looks at itself and those before it, then at the source."""
    attention = _self_attention(config)
    cross = MultiHeadAttention(config.width, config.heads, dropout=config.dropout)
    return CrossBlock(attention, cross, _mlp(config.width), partial(nn.LayerNorm, config.width))


def _self_attention(config: AttentionConfig) -> MultiHeadAttention:
    rotary = Rotary(config.width // config.heads) if config.positions == "rotary" else None
    return MultiHeadAttention(config.width, config.heads, dropout=config.dropout, rotary=rotary)


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class AttentionTranslator(nn.Module):
    """Reads a source with self-attention; writes the target with causal self-attention and cross-attention."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_source = nn.Embedding(config.sources, config.width)
        self.embed_target = nn.Embedding(config.targets, config.width)
        self.encoder = nn.ModuleList(encoder_block(config) for _ in range(config.encoders))
        self.decoder = nn.ModuleList(decoder_block(config) for _ in range(config.decoders))
        self.norm_memory, self.norm_out = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.targets)

    @checked
    def encode(self, source: Int[Tensor, "batch n"]) -> Memory:
        """Read sources, 0 where padded; padding changes nothing."""
        check_labels("source", source, self.config.sources)
        real = source != PAD
        x = self._embed(self.embed_source, source)
        for block in self.encoder:
            x = block(x, key_mask=real)
        return Memory(self.norm_memory(x), real)

    def decode(
        self, memory: Memory, target: Int[Tensor, "batch t"], state: CrossKVState | None = None
    ) -> Float[Tensor, "batch t targets"]:
        """The logits of the symbol after each of the given ones; place t sees the symbols up to t."""
        return self.decode_with_maps(memory, target, state)[0]

    @checked
    def decode_with_maps(
        self,
        memory: Memory,
        target: Int[Tensor, "batch t"],
        state: CrossKVState | None = None,
    ) -> tuple[Float[Tensor, "batch t targets"], Float[Tensor, "batch decoders heads t n"]]:
        """As `decode`, and the cross-attention's weights: how much each output place looks at each input place.

        Args:
            memory: of `encode`.
            target: the symbols so far; with a state, only those that have not been seen yet.
            state: of `new_state`; it grows by the given symbols.
        """
        check_labels("target", target, self.config.targets)
        x = self._embed(self.embed_target, target, start=0 if state is None else state.length)
        maps = []
        for i, block in enumerate(self.decoder):
            own, other = (None, None) if state is None else (state.own[i], state.cross[i])
            x, weights = block(
                x, memory.states, own, context_cache=other, context_mask=memory.real, return_weights=True
            )
            maps.append(weights)
        return self.head(self.norm_out(x)), torch.stack(maps, dim=1)

    def new_state(self, batch: int) -> CrossKVState:
        """For each block of the decoder an empty cache of the symbols so far and one of the source."""
        return CrossKVState(KVState(len(self.decoder)), KVState(len(self.decoder)))

    def forward(
        self, source: Int[Tensor, "batch n"], target: Int[Tensor, "batch t"]
    ) -> Float[Tensor, "batch t targets"]:
        """The logits of the symbol after each of the given ones."""
        return self.decode(self.encode(source), target)

    def _embed(self, table: nn.Embedding, symbols: Tensor, *, start: int = 0) -> Tensor:
        x = table(symbols)
        if self.config.positions == "sinusoidal":
            x = x + sinusoidal(symbols.shape[1], x.shape[-1], start=start, device=x.device)
        return x
