"""The contract of a language model: tokens in, logits of the next token out, and a state of what was read so far.

    logits, state ← model(new tokens, state)                                                 (eq-language-state)

A model reads a text at once, or piece by piece with a state that `LanguageModel.new_state` gives and that it changes in place.
What the state holds is the model's own affair: the keys and values of a transformer (`companion.nn.kv_cache.KVState`), the
memory of a recurrent network, the last tokens of an n-gram. What generation, search and speculative decoding need of it is the
same everywhere: `State`.

**Padding.** Rows of a batch may be of unequal length if a mask says which tokens are real. What stands before a row's first
real token changes nothing: positions are counted from there (`positions_of`), and padding is neither attended to nor counted.
The mask covers everything read so far, as in transformers: the tokens in the state and the new ones.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.validate import check_shapes


@runtime_checkable
class State(Protocol):
    """What a model keeps of the tokens that it has read, for each row of a batch."""

    @property
    def length(self) -> int:
        """How many tokens of each row were read, padding included."""
        ...

    def select(self, rows: Int[Tensor, "n"]) -> "State":
        """The state of these rows, in this order, as a new one; a row may stand there more than once."""
        ...

    def truncate(self, length: int) -> None:
        """Forget all tokens from ``length`` on.

        Raises:
            ValueError: a length out of range, or a state that cannot go back (a recurrent network's): clone it before.
        """
        ...

    def clone(self) -> "State":
        """A copy; reading on with one of the two leaves the other as it is."""
        ...


@runtime_checkable
class LanguageModelConfig(Protocol):
    """The sizes that every language model has.

    Attributes:
        vocab_size: how many tokens there are.
        context: the most tokens of a row that it can read, those in the state included.
    """

    vocab_size: int
    context: int


@runtime_checkable
class LanguageModel(Protocol):
    """A model that reads tokens and, at each, predicts the next; an `nn.Module`."""

    config: LanguageModelConfig

    def new_state(self, batch: int) -> State:
        """The state of so many rows of which nothing was read yet."""
        ...

    def __call__(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: State | None = None,
        attention_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> Float[Tensor, "batch n vocab"]:
        """Logits of the next token at each position.

        Args:
            input_ids: token numbers, shape (batch, n).
            past_key_values: a state; then ``input_ids`` holds only the new tokens, which are added to it.
            attention_mask: True at real tokens and False at padding, shape (batch, length of the state + n).
        """
        ...


def check_tokens(input_ids: Tensor, past_key_values: State | None, vocab_size: int) -> int:
    """Check a language model's input; how many tokens its state has read.

    Raises:
        ValueError: not whole numbers of shape (batch, n), numbers out of range, or something else than a state.
    """
    check_shapes(input_ids=(input_ids, "batch n"))
    if input_ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"input_ids: got {input_ids.dtype}, wanted int64 token numbers")
    low, high = (int(bound) for bound in torch.aminmax(input_ids))
    if low < 0 or high >= vocab_size:
        raise ValueError(f"input_ids: got numbers from {low} to {high}, wanted 0 to {vocab_size - 1}")
    if past_key_values is None:
        return 0
    length = getattr(past_key_values, "length", None)
    if length is None:
        got = type(past_key_values).__name__
        raise ValueError(f"past_key_values: got {got}, wanted a state, what model.new_state(batch) gives")
    return length


def positions_of(attention_mask: Bool[Tensor, "batch read"], n: int) -> Int[Tensor, "batch n"]:
    """The positions of the last n tokens, counted from 0 at each row's first real token; 0 at the padding before it."""
    return (attention_mask.cumsum(1) - 1).clamp(min=0)[:, attention_mask.shape[1] - n :]


def left_padded(
    rows: Sequence[Sequence[int] | Int[Tensor, "_"]], *, pad: int = 0
) -> tuple[Int[Tensor, "batch longest"], Bool[Tensor, "batch longest"]]:
    """Rows of unequal length as one batch, each filled up in front so that all end together, and the mask of what is real.

    Raises:
        ValueError: no rows, or a row without tokens.
    """
    rows = [torch.as_tensor(row, dtype=torch.int64) for row in rows]
    lengths = [len(row) for row in rows]
    if not lengths or not all(lengths):
        raise ValueError(
            f"rows: got {len(rows)} rows, the shortest of {min(lengths, default=0)} tokens, wanted none empty"
        )
    ids = torch.full((len(rows), max(lengths)), pad, device=rows[0].device)
    for filled, row in zip(ids, rows, strict=True):
        filled[len(ids[0]) - len(row) :] = row
    places = torch.arange(max(lengths), device=ids.device)
    return ids, places >= max(lengths) - torch.tensor(lengths, device=ids.device)[:, None]


def device_of(model: nn.Module) -> torch.device:
    """Where a model is: the device of its first parameter or, of a model that only counts, its first buffer."""
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def precise(logits: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch vocab"]:
    """The logits in float32 if they are in less: what a softmax, a temperature or a comparison of probabilities is taken of."""
    return logits.float() if logits.element_size() < 4 else logits
