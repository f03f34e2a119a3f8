"""The keys and values of the positions so far, so that generating the next one does not compute them again.

With n positions stored, one more costs n products of a query with a key instead of n²; what it costs is memory, two rows of
numbers a position, layer and head. `companion.nn.attention.MultiHeadAttention` reads and fills a `KVCache`, and a model of
several layers has a `KVState`. A layer that sees only a window needs no more than the window: a `WindowKVCache` stays as small
however long the text becomes.

Sources: Shazeer, "Fast Transformer Decoding: One Write-Head is All You Need", arXiv:1911.02150, section 2; of windows, Jiang et
al., "Mistral 7B", 2023, arXiv:2310.06825, section 2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import Count, Range, check_count, checked


class KVCache:
    """The keys and values of all positions so far, so that each is computed once. For inference only.

    Room is doubled when it runs out, so that n steps copy O(n) rows in all; concatenating at each would copy O(n²).

    Attributes:
        length: how many positions were read.
        first: the first of them that the next position can see.
    """

    first = 0

    def __init__(self) -> None:
        self.length = 0
        self._k: Tensor | None = None
        self._v: Tensor | None = None

    @property
    def k(self) -> Float[Tensor, "batch heads length d"]:
        """The stored keys, shape (batch, heads, length, head width)."""
        return self._stored(self._k)

    @property
    def v(self) -> Float[Tensor, "batch heads length d"]:
        """The stored values, shape (batch, heads, length, head width)."""
        return self._stored(self._v)

    def append(
        self, k: Float[Tensor, "batch heads n d"], v: Float[Tensor, "batch heads n d"]
    ) -> tuple[Float[Tensor, "batch heads seen d"], Float[Tensor, "batch heads seen d"]]:
        """Store the keys and values of n further positions; those of all that the first of the n can see, and the n.

        Raises:
            ValueError: another batch, number of heads or width than before, or tensors that need a gradient.
        """
        self._check(k, v)
        self._k, self._v = self._write(self._k, k), self._write(self._v, v)
        self.length += k.shape[2]
        return self.k, self.v

    def _check(self, k: Tensor, v: Tensor) -> None:
        if k.shape != v.shape:
            raise ValueError(f"v: got shape {tuple(v.shape)}, wanted that of k, {tuple(k.shape)}")
        if torch.is_grad_enabled() and (k.requires_grad or v.requires_grad):
            raise ValueError("KVCache: got keys that need a gradient, wanted inference; run under torch.no_grad()")
        if self._k is not None and (k.ndim != 4 or k.shape[:2] != self._k.shape[:2] or k.shape[3] != self._k.shape[3]):
            batch, heads, _, d = self._k.shape
            raise ValueError(f"k: got shape {tuple(k.shape)}, wanted ({batch}, {heads}, n, {d}) as before")

    def truncate(self, length: int) -> None:
        """Forget all positions from ``length`` on."""
        check_count("length", length, low=0, high=self.length)
        self.length = length

    def select(self, rows: Int[Tensor, "n"]) -> "KVCache":
        """A new cache of these rows of the batch, in this order; a row may stand there more than once."""
        other = self._empty()
        if self._k is not None:  # with the room to grow, so that the next position is not a reason to copy again
            other._k, other._v, other.length = self._k[rows], self._v[rows], self.length
        return other

    def clone(self) -> "KVCache":
        """A copy that grows apart from this one."""
        other = self._empty()
        if self._k is not None:
            other._k, other._v, other.length = self._k.clone(), self._v.clone(), self.length
        return other

    def _empty(self) -> "KVCache":
        return KVCache()

    def _write(self, store: Tensor | None, new: Tensor) -> Tensor:
        end = self.length + new.shape[2]
        if store is None or store.shape[2] < end:
            batch, heads, n, d = new.shape
            larger = new.new_empty(batch, heads, max(end, 2 * self.length), d)
            if store is not None:
                larger[:, :, : self.length] = store[:, :, : self.length]
            store = larger
        store.narrow(2, self.length, new.shape[2]).copy_(new.detach())
        return store

    def _stored(self, store: Tensor | None) -> Tensor:
        if store is None:
            raise ValueError("KVCache: got an empty cache, wanted one to which something was appended")
        return store.narrow(2, 0, self.length)


class WindowKVCache(KVCache):
    """The keys and values of the last positions alone, for attention that sees no further back. For inference only.

    A step copies the window once, which is what attention reads anyway.

    Args:
        window: how many positions a position sees, itself included.
        spare: how many positions can be forgotten again by `truncate` once the text is longer than the window; so many more
            are kept.
    """

    @checked
    def __init__(self, window: Count, *, spare: Annotated[int, Range(0)] = 0) -> None:
        super().__init__()
        self.window, self.spare = window, spare

    @property
    def first(self) -> int:
        """The first position that the next one can see."""
        return max(0, self.length - self.window + 1)

    def append(
        self, k: Float[Tensor, "batch heads n d"], v: Float[Tensor, "batch heads n d"]
    ) -> tuple[Float[Tensor, "batch heads seen d"], Float[Tensor, "batch heads seen d"]]:
        """Store as `KVCache.append`, then drop what no later position can see."""
        self._check(k, v)
        seen = self.length - self.first + k.shape[2]
        both = [k.detach(), v.detach()]
        if self._k is not None:
            both = [torch.cat([self._k, both[0]], 2), torch.cat([self._v, both[1]], 2)]
        self._k, self._v = (self._last(part, self.window - 1 + self.spare) for part in both)
        self.length += k.shape[2]
        return both[0][:, :, -seen:], both[1][:, :, -seen:]

    def truncate(self, length: int) -> None:
        """Forget all positions from ``length`` on.

        Raises:
            ValueError: a length out of range, or one before which the window was dropped already.
        """
        held = 0 if self._k is None else self._k.shape[2]
        low = 0 if held == self.length else self.length - held + self.window - 1
        if length < low:
            raise ValueError(
                f"length: got {length}, wanted at least {low}: what the window before it held was dropped; clone the state "
                f"before reading on, or give the cache more than {self.spare} spare positions"
            )
        check_count("length", length, low=0, high=self.length)
        if self._k is not None:
            held -= self.length - length
            self._k, self._v = self._k[:, :, :held], self._v[:, :, :held]
        self.length = length

    def _empty(self) -> "WindowKVCache":
        return WindowKVCache(self.window, spare=self.spare)

    def _stored(self, store: Tensor | None) -> Tensor:
        return super()._stored(store) if store is None else store

    @staticmethod
    def _last(part: Tensor, n: int) -> Tensor:
        """The last n positions; as a copy where a view would keep a long prompt alive."""
        kept = part[:, :, max(0, part.shape[2] - n) :]
        return kept.clone() if part.shape[2] > n + 1 else kept


class KVState(tuple[KVCache, ...]):
    """One cache for each layer: what a decoder-only transformer keeps of the tokens that it has read.

    Args:
        layers: how many; or the caches themselves.
    """

    __slots__ = ()

    def __new__(cls, layers: int | Iterable[KVCache]) -> "KVState":
        """Empty caches, or these."""
        return super().__new__(cls, (KVCache() for _ in range(layers)) if isinstance(layers, int) else layers)

    @property
    def length(self) -> int:
        """How many positions were read, padding included."""
        return self[0].length

    def select(self, rows: Int[Tensor, "n"]) -> "KVState":
        """The state of these rows of the batch, in this order; a row may stand there more than once."""
        return KVState(cache.select(rows) for cache in self)

    def truncate(self, length: int) -> None:
        """Forget all positions from ``length`` on."""
        for cache in self:
            cache.truncate(length)

    def clone(self) -> "KVState":
        """A copy that grows apart from this one."""
        return KVState(cache.clone() for cache in self)


@dataclass
class CrossKVState:
    """What a decoder with cross-attention keeps: of the tokens that it has read, and of the source.

    Attributes:
        own: the caches of its self-attentions, which grow.
        cross: those of its cross-attentions, filled with the source by the first call and then only read.
    """

    own: KVState
    cross: KVState

    @property
    def length(self) -> int:
        """How many positions of the target are stored."""
        return self.own.length

    def select(self, rows: Int[Tensor, "n"]) -> "CrossKVState":
        """The state of these rows of the batch, in this order; a row may stand there more than once."""
        return CrossKVState(self.own.select(rows), self.cross.select(rows))

    def truncate(self, length: int) -> None:
        """Forget all positions of the target from ``length`` on."""
        self.own.truncate(length)

    def clone(self) -> "CrossKVState":
        """A copy that grows apart from this one."""
        return CrossKVState(self.own.clone(), self.cross.clone())
