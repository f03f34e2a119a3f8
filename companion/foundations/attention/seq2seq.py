"""Sequence to sequence: the symbols, loss, greedy decoding and exact match that two translators of strings share.

A model here has `encode(source)`, which reads the input once, and `decode(memory, target)`, which returns the logits of
the next symbol at each place of the target so far; with a state it reads only what is new of the target. Targets have one
fixed length, as ISO dates have.

The loss is the negative log-likelihood of the target, symbol by symbol, given the true symbols before it:

    L = -1/T Σ_t log p(y_t | y_1, …, y_{t-1}, x)                                              (eq-seq2seq)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.language.conditioning import Conditioned, ConditionedConfig
from companion.language.generation import generate
from companion.validate import Count, check_labels, checked

PAD = START = 0  # the first index: padding in a source, the symbol before the first one in a target


@dataclass(frozen=True)
class Symbols:
    """The characters that a model knows; index 0 is kept free for padding and start.

    Attributes:
        characters: in a fixed order; character i has the index i + 1.
    """

    characters: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Symbols":
        """All characters that occur in the texts, sorted."""
        found = sorted(set("".join(texts)))
        if not found:
            raise ValueError("texts: got no characters, wanted at least one")
        return cls(tuple(found))

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "batch length"]:
        """Indices, padded at the end with 0 to the length of the longest text.

        Raises:
            ValueError: no texts, an empty text, or an unknown character.
        """
        index = {character: i for i, character in enumerate(self.characters, 1)}
        if not texts or not all(texts):
            raise ValueError(f"texts: got {len(texts)} texts with an empty one or none, wanted texts with characters")
        unknown = sorted(set("".join(texts)) - set(index))
        if unknown:
            raise ValueError(f"texts: got the characters {unknown}, wanted only the {len(index)} known ones")
        rows = torch.full((len(texts), max(map(len, texts))), PAD)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = torch.tensor([index[character] for character in text])
        return rows

    def decode(self, rows: Int[Tensor, "batch length"]) -> list[str]:
        """The texts of rows of indices; 0 is left out."""
        check_labels("rows", rows, len(self))
        return ["".join(self.characters[i - 1] for i in row if i) for row in rows.tolist()]


@dataclass(frozen=True)
class Memory:
    """What an encoder that keeps every place has made of sources.

    Attributes:
        states: one vector for each place of a source.
        real: False where the source is padding.
    """

    states: Float[Tensor, "batch n width"]
    real: Bool[Tensor, "batch n"]

    def __getitem__(self, rows: Int[Tensor, "m"]) -> "Memory":
        """What was made of these sources."""
        return Memory(self.states[rows], self.real[rows])


@runtime_checkable
class Translator(Protocol):
    """What `next_symbol_loss` needs of a model; `greedy` needs a `companion.language.conditioning.EncoderDecoder`."""

    def encode(self, source: Int[Tensor, "batch n"]) -> object:
        """Read the source."""

    def decode(self, memory: object, target: Int[Tensor, "batch t"]) -> Float[Tensor, "batch t symbols"]:
        """The logits of the symbol after each of the given ones."""


def next_symbol_loss(model: Translator, batch: tuple[Tensor, ...], _: torch.Generator | None = None) -> Tensor:
    """The mean negative log-likelihood per symbol, in nats (eq-seq2seq).

    Args:
        model: a translator.
        batch: sources, shape (batch, n), 0 where padded, and targets, shape (batch, length), without padding.
    """
    source, target = batch
    logits = model.decode(model.encode(source), shifted(target))
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


@checked
def shifted(target: Int[Tensor, "batch length"]) -> Int[Tensor, "batch length"]:
    """What the decoder sees when it predicts the target: the start symbol, then the target without its last symbol."""
    return F.pad(target[:, :-1], (1, 0), value=START)


@checked
def greedy(model: nn.Module, source: Int[Tensor, "batch n"], length: Count) -> Int[Tensor, "batch length"]:
    """The most probable next symbol, ``length`` times; the model's mode is left as it was and no graph is kept.

    With its source given, a translator is a language model of the target, so this is `companion.language.generation`.
    """
    writer = Conditioned(model, source, ConditionedConfig(model.config.targets, context=length))
    start = torch.full((len(source), 1), START, device=source.device)
    return generate(writer, start, length)[:, 1:]


def exact_match(model: nn.Module, source: Int[Tensor, "batch n"], target: Int[Tensor, "batch length"]) -> float:
    """The share of the examples whose greedy translation is right in every symbol."""
    found = greedy(model, source, target.shape[1])
    return (found == target).all(-1).cpu().double().mean().item()
