"""The states of language models that are no transformers: a recurrent network's memory, and an n-gram's last tokens.

Both are `companion.language.contract.State`. A recurrent network has folded its past into a few vectors and cannot go back; who
must be able to, clones the state before reading on.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from companion.validate import check_count


@dataclass
class RecurrentState:
    """The memory of a recurrent network.

    Attributes:
        memory: its tensors, shape (layers, batch, width) each.
        length: how many tokens were read.
    """

    memory: tuple[Tensor, ...]
    length: int = 0

    def select(self, rows: Int[Tensor, "n"]) -> "RecurrentState":
        """The state of these rows of the batch, in this order; a row may stand there more than once."""
        return RecurrentState(tuple(part[:, rows] for part in self.memory), self.length)

    def truncate(self, length: int) -> None:
        """Nothing, if ``length`` is what was read.

        Raises:
            ValueError: any other length, as the memory does not say what it was before.
        """
        if length != self.length:
            raise ValueError(
                f"length: got {length}, wanted {self.length}, all of it: a recurrent network cannot go back; clone its "
                "state before reading on"
            )

    def clone(self) -> "RecurrentState":
        """A copy; the memory is replaced with each token, never written into, so it need not be copied."""
        return RecurrentState(self.memory, self.length)


@dataclass
class TokenState:
    """The tokens themselves.

    Attributes:
        ids: what was read, shape (batch, length).
    """

    ids: Int[Tensor, "batch length"]

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return self.ids.shape[1]

    def append(self, ids: Int[Tensor, "batch n"]) -> None:
        """Read n further tokens of each row."""
        self.ids = torch.cat([self.ids, ids], 1)

    def select(self, rows: Int[Tensor, "n"]) -> "TokenState":
        """The state of these rows of the batch, in this order; a row may stand there more than once."""
        return TokenState(self.ids[rows])

    def truncate(self, length: int) -> None:
        """Forget all tokens from ``length`` on."""
        check_count("length", length, low=0, high=self.length)
        self.ids = self.ids[:, :length]

    def clone(self) -> "TokenState":
        """A copy; `append` makes a new tensor, so the tokens need not be copied."""
        return TokenState(self.ids)
