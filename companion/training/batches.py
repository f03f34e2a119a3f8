"""What is random in a step of training, as a function of the seed and the step alone.

The examples of step 700 do not depend on how steps 0 to 699 were spent, so a run that is resumed at step 700 needs no
generator's state to go on with the same bits.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from companion.validate import check_count

Batch = tuple[Tensor, ...]
Data = Sequence[Tensor] | Callable[[int, torch.Generator], Batch]


class Batches:
    """The batch of each step. Epochs follow one another, each in an order of its own, and a batch may span two.

    Attributes:
        about: the data in words: shapes and types, to tell one run's from another's.
    """

    def __init__(self, data: Data, size: int, seed: int) -> None:
        """Take the data, as for `companion.training.train`, and the number of examples in a batch."""
        check_count("size", size)
        self.data, self.size, self.seed = data, size, seed
        self.orders: dict[int, Tensor] = {}
        if callable(data):
            self.n, self.about = None, "drawn"
        else:
            self.n = count_examples(data)
            self.about = ", ".join(f"{tuple(part.shape)} {part.dtype}" for part in data)

    def __call__(self, step: int) -> Batch:
        if self.n is None:
            batch = self.data(self.size, torch.Generator().manual_seed(mix(self.seed, "draw", step)))
            if count_examples(batch) != self.size:
                raise ValueError(f"data({self.size}, generator): got {len(batch[0])} examples, wanted {self.size}")
            return tuple(batch)
        places = torch.arange(step * self.size, (step + 1) * self.size)
        index = torch.empty(self.size, dtype=torch.long)
        for epoch in range(int(places[0]) // self.n, int(places[-1]) // self.n + 1):
            here = places // self.n == epoch
            index[here] = self._order(epoch)[places[here] % self.n]
        return tuple(part[index] for part in self.data)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self.orders:
            generator = torch.Generator().manual_seed(mix(self.seed, "order", epoch))
            self.orders = {e: order for e, order in self.orders.items() if e == epoch - 1}
            self.orders[epoch] = torch.randperm(self.n, generator=generator)
        return self.orders[epoch]


def count_examples(data: Sequence[Tensor]) -> int:
    """The common length of the tensors' first axes.

    Raises:
        ValueError: not a tuple or list of tensors, or tensors of unequal length or without examples.
    """
    if not isinstance(data, (tuple, list)) or not all(isinstance(part, Tensor) and part.ndim for part in data):
        raise ValueError(f"data: got {type(data).__name__}, wanted a tuple of tensors; for a single one: (images,)")
    lengths = [len(part) for part in data]
    if not lengths or 0 in lengths or len(set(lengths)) > 1:
        raise ValueError(f"data: got tensors with {lengths} examples, wanted one number of examples, at least 1")
    return lengths[0]


@contextlib.contextmanager
def seeded(device: torch.device, *parts: object) -> Iterator[torch.Generator]:
    """A CPU generator seeded by ``parts``; the global ones, which dropout uses, are seeded too and put back afterwards.

    On Apple's GPUs dropout's is seeded but not put back: torch cannot fork that one.
    """
    forked = [device] if device.type in ("cuda", "xpu") else []
    with torch.random.fork_rng(forked, device_type=device.type if forked else "cuda"):
        # torch.manual_seed notes a stack trace for each kind of device that is not there: it takes longer than a small step.
        seed_all = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
        seed_all(mix("global", *parts))
        yield torch.Generator().manual_seed(mix("noise", *parts))


def mix(*parts: object) -> int:
    """A seed of 63 bits from numbers and words; other parts give an unrelated seed."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1
