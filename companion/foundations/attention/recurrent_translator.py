"""A recurrent encoder-decoder without attention: the input is squeezed into one vector, and the output written from that.

Cho et al. 2014, arXiv:1406.1078, and Sutskever, Vinyals & Le 2014, arXiv:1409.3215:

    h_i = GRU(x_i, h_{i-1}),  c = W h_n,  s_t = GRU([y_{t-1}, c], s_{t-1}),  p(y_t | …) = softmax(U s_t)    (eq-rnn)

Departure: the encoder reads in both directions, which the baseline of Bahdanau et al. 2014 (arXiv:1409.0473) does not.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from companion.foundations.attention.seq2seq import PAD
from companion.language.states import RecurrentState
from companion.validate import Count, check_labels, checked


@checked
@dataclass(frozen=True)
class RecurrentConfig:
    """Sizes of a `RecurrentTranslator`.

    Attributes:
        sources: symbols of the input, padding included.
        targets: symbols of the output, the start symbol included.
        width: of the embeddings.
        hidden: of the recurrent state, in each direction.
    """

    sources: Count
    targets: Count
    width: Count = 64
    hidden: Count = 76


class RecurrentTranslator(nn.Module):
    """A GRU reads the source into one vector; another writes the target from it."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_source = nn.Embedding(config.sources, config.width)
        self.embed_target = nn.Embedding(config.targets, config.width)
        self.reader = nn.GRU(config.width, config.hidden, batch_first=True, bidirectional=True)
        self.summary = nn.Linear(2 * config.hidden, config.hidden)
        self.writer = nn.GRU(config.width + config.hidden, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, config.targets)

    @checked
    def encode(self, source: Int[Tensor, "batch n"]) -> Float[Tensor, "batch hidden"]:
        """Read sources, 0 where padded, into one vector each; padding changes nothing."""
        check_labels("source", source, self.config.sources)
        lengths = (source != PAD).sum(1)
        if int(lengths.min()) == 0:
            raise ValueError("source: got a row of padding alone, wanted at least one symbol in each")
        packed = pack_padded_sequence(self.embed_source(source), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.reader(packed)  # (2 directions, batch, hidden)
        return torch.tanh(self.summary(torch.cat([last[0], last[1]], dim=-1)))

    def new_state(self, batch: int) -> RecurrentState:
        """The writer's state before the first symbol: it begins with what the source was squeezed into."""
        return RecurrentState(())

    @checked
    def decode(
        self,
        memory: Float[Tensor, "batch hidden"],
        target: Int[Tensor, "batch t"],
        state: RecurrentState | None = None,
    ) -> Float[Tensor, "batch t targets"]:
        """The logits of the symbol after each of the given ones; with a state, ``target`` holds only the new ones."""
        check_labels("target", target, self.config.targets)
        symbols = self.embed_target(target)
        inputs = torch.cat([symbols, memory[:, None].expand(-1, target.shape[1], -1)], dim=-1)
        before = state.memory[0] if state is not None and state.memory else memory[None].contiguous()
        states, after = self.writer(inputs, before)
        if state is not None:
            state.memory, state.length = (after,), state.length + target.shape[1]
        return self.head(states)

    def forward(
        self, source: Int[Tensor, "batch n"], target: Int[Tensor, "batch t"]
    ) -> Float[Tensor, "batch t targets"]:
        """The logits of the symbol after each of the given ones."""
        return self.decode(self.encode(source), target)
