"""Attention between two recurrent networks: the reader keeps all its states, and the writer looks back at them.

Bahdanau, Cho & Bengio 2014, arXiv:1409.0473, with the dot products of Luong, Pham & Manning 2015, arXiv:1508.04025:

    h_i = GRU(x_i, h_{i-1}),  s_t = GRU(y_{t-1}, s_{t-1}),
    c_t = Attention(s_t W_q, H W_k, H W_v) W_o,  p(y_t | …) = softmax(U [s_t, c_t])        (eq-rnn-attention)

Departures: the writer begins at zeros, so that all it knows of the source has come through attention; and what it found does
not enter its own state (as in Luong et al.), so that all places of a known target are computed at once.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from companion.foundations.attention.seq2seq import PAD, Memory
from companion.language.states import RecurrentState
from companion.nn.attention import MultiHeadAttention
from companion.validate import Count, check_labels, checked


@checked
@dataclass(frozen=True)
class RecurrentAttentionConfig:
    """Sizes of a `RecurrentAttentionTranslator`.

    Attributes:
        sources: symbols of the input, padding included.
        targets: symbols of the output, the start symbol included.
        width: of the embeddings.
        hidden: of the recurrent states, in each direction.
    """

    sources: Count
    targets: Count
    width: Count = 64
    hidden: Count = 72


class RecurrentAttentionTranslator(nn.Module):
    """A GRU reads the source, both ways; another writes the target and attends to every state of the reader."""

    def __init__(self, config: RecurrentAttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_source = nn.Embedding(config.sources, config.width)
        self.embed_target = nn.Embedding(config.targets, config.width)
        self.reader = nn.GRU(config.width, config.hidden, batch_first=True, bidirectional=True)
        self.writer = nn.GRU(config.width, config.hidden, batch_first=True)
        self.cross = MultiHeadAttention(config.hidden, 1, context_width=2 * config.hidden)
        self.head = nn.Linear(2 * config.hidden, config.targets)

    @checked
    def encode(self, source: Int[Tensor, "batch n"]) -> Memory:
        """Read sources, 0 where padded, into one state for each place; padding changes nothing."""
        check_labels("source", source, self.config.sources)
        real = source != PAD
        lengths = real.sum(1)
        if int(lengths.min()) == 0:
            raise ValueError("source: got a row of padding alone, wanted at least one symbol in each")
        packed = pack_padded_sequence(self.embed_source(source), lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=source.shape[1])
        return Memory(states, real)

    def new_state(self, batch: int) -> RecurrentState:
        """The writer's state before the first symbol: it knows nothing yet."""
        return RecurrentState(())

    def decode(
        self, memory: Memory, target: Int[Tensor, "batch t"], state: RecurrentState | None = None
    ) -> Float[Tensor, "batch t targets"]:
        """The logits of the symbol after each of the given ones; with a state, ``target`` holds only the new ones."""
        return self.decode_with_maps(memory, target, state)[0]

    @checked
    def decode_with_maps(
        self, memory: Memory, target: Int[Tensor, "batch t"], state: RecurrentState | None = None
    ) -> tuple[Float[Tensor, "batch t targets"], Float[Tensor, "batch 1 1 t n"]]:
        """As `decode`, and the weights: how much each output place looks at each input place."""
        check_labels("target", target, self.config.targets)
        before = state.memory[0] if state is not None and state.memory else None
        states, after = self.writer(self.embed_target(target), before)
        if state is not None:
            state.memory, state.length = (after,), state.length + target.shape[1]
        found, weights = self.cross(states, memory.states, key_mask=memory.real, return_weights=True)
        return self.head(torch.cat([states, found], dim=-1)), weights[:, None]

    def forward(
        self, source: Int[Tensor, "batch n"], target: Int[Tensor, "batch t"]
    ) -> Float[Tensor, "batch t targets"]:
        """The logits of the symbol after each of the given ones."""
        return self.decode(self.encode(source), target)
