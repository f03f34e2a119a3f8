"""An encoder-decoder as a language model of its target: what lies between translators and `companion.language.generation`.

    p(y | x) = Π_t p(y_t | y_1 … y_{t-1}, encode(x))                                          (eq-conditioned)

With the source x given, this is a language model of y: it has logits of the next token and a state. Generation, beam search and
speculative decoding need to know no more, and a state that is selected, cloned or cut takes the encoded source along.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import State
from companion.validate import Count, checked


@runtime_checkable
class Memory(Protocol):
    """What an encoder has made of a batch of sources: a tensor, or anything else whose rows can be taken."""

    def __getitem__(self, rows: Int[Tensor, "n"]) -> "Memory":
        """These rows, in this order."""
        ...


@runtime_checkable
class EncoderDecoder(Protocol):
    """What is needed of a model that reads a source and writes a target."""

    def encode(self, source: Tensor) -> Memory:
        """Read the sources."""
        ...

    def new_state(self, batch: int) -> State:
        """The decoder's state before the first token of the target."""
        ...

    def decode(
        self, memory: Memory, target: Int[Tensor, "batch t"], state: State | None = None
    ) -> Float[Tensor, "batch t vocab"]:
        """Logits of the token after each given one; with a state, ``target`` holds only the new ones."""
        ...


@dataclass
class ConditionedState:
    """The encoded sources and the decoder's state, row by row.

    Attributes:
        memory: of the encoder.
        past: of the decoder.
    """

    memory: Memory
    past: State

    @property
    def length(self) -> int:
        """How many tokens of each target were read."""
        return self.past.length

    def select(self, rows: Int[Tensor, "n"]) -> "ConditionedState":
        """The state of these rows of the batch, in this order; a row may stand there more than once."""
        return ConditionedState(self.memory[rows], self.past.select(rows))

    def truncate(self, length: int) -> None:
        """Forget all tokens of the targets from ``length`` on."""
        self.past.truncate(length)

    def clone(self) -> "ConditionedState":
        """A copy that grows apart from this one; the memory never changes and is shared."""
        return ConditionedState(self.memory, self.past.clone())


@checked
@dataclass(frozen=True)
class ConditionedConfig:
    """The sizes of a `Conditioned`: how many tokens the target has, and how many of them are read at most."""

    vocab_size: Count
    context: Count


class Conditioned(nn.Module):
    """An encoder-decoder whose sources are given, as a `companion.language.contract.LanguageModel` (eq-conditioned).

    Args:
        model: an `EncoderDecoder`.
        source: what it is to translate, one row for each row of the target, or one for all.
        config: the sizes of the target.
        source_mask: True at what is real of the sources and False at padding, for a model whose ``encode`` takes a mask.
    """

    def __init__(
        self,
        model: nn.Module,
        source: Tensor,
        config: ConditionedConfig,
        source_mask: Bool[Tensor, "batch n"] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.source, self.config, self.source_mask = model, source, config, source_mask

    def new_state(self, batch: int) -> ConditionedState:
        """The encoded sources, and nothing written yet.

        Raises:
            ValueError: neither one source nor as many as rows.
        """
        if len(self.source) not in (1, batch):
            raise ValueError(f"batch: got {batch} rows, wanted one for each of {len(self.source)} sources")
        mask = () if self.source_mask is None else (self.source_mask,)
        memory = self.model.encode(self.source, *mask)
        if len(self.source) < batch:
            memory = memory[torch.zeros(batch, dtype=torch.int64, device=self.source.device)]
        return ConditionedState(memory, self.model.new_state(batch))

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: ConditionedState | None = None,
        attention_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> Float[Tensor, "batch n vocab"]:
        """Logits of the next token of the target at each position.

        Raises:
            ValueError: a mask with padding: targets begin together, at the start token.
        """
        if attention_mask is not None and not attention_mask.all():
            raise ValueError("attention_mask: got padding, wanted targets that all begin with the start token")
        if past_key_values is None:
            return self.model.decode(self.new_state(len(input_ids)).memory, input_ids)
        return self.model.decode(past_key_values.memory, input_ids, past_key_values.past)
