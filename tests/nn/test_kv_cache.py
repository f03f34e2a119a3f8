"""The cache by itself; that attention with it equals attention without it is proved in `test_attention`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from companion.nn.kv_cache import KVCache
from tests.conftest import rejects


def rows(n: int, offset: float = 0.0) -> Tensor:
    """Distinct numbers, shape (batch 2, heads 3, n, width 4)."""
    return torch.arange(2 * 3 * n * 4, dtype=torch.float32).reshape(2, 3, n, 4) + offset


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_it_holds_what_was_appended_in_order(parts: list[int]) -> None:
    cache, k, v = KVCache(), [], []
    for number, n in enumerate(parts):
        k.append(rows(n, 1000.0 * number))
        v.append(-k[-1])
        cache.append(k[-1], v[-1])
    assert cache.length == sum(parts)
    assert torch.equal(cache.k, torch.cat(k, dim=2))
    assert torch.equal(cache.v, torch.cat(v, dim=2))


def test_what_was_truncated_is_overwritten_I23() -> None:
    cache = KVCache()
    cache.append(rows(5), rows(5))
    cache.truncate(2)
    cache.append(rows(1, 500.0), rows(1, 700.0))
    assert cache.length == 3
    assert torch.equal(cache.k, torch.cat([rows(5)[:, :, :2], rows(1, 500.0)], dim=2))
    assert torch.equal(cache.v, torch.cat([rows(5)[:, :, :2], rows(1, 700.0)], dim=2))


def test_it_copies_rows_in_proportion_to_the_length() -> None:
    cache, rooms = KVCache(), set()
    for _ in range(1000):
        cache.append(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2))
        rooms.add(cache._k.shape[2])
    assert len(rooms) <= 12  # it moved house a dozen times, not a thousand


def test_bad_input() -> None:
    cache = KVCache()
    with rejects("empty"):
        cache.k
    cache.append(rows(5), rows(5))
    with rejects("k:"):
        cache.append(rows(5)[:1], rows(5)[:1])
    with rejects("v:|n = "):
        cache.append(rows(5), rows(4))
    with rejects("length"):
        cache.truncate(6)
    with rejects("length"):
        cache.truncate(-1)
    assert cache.length == 5


@pytest.mark.parametrize("needs", ["k", "v"])
def test_gradients_are_refused_I27(needs: str) -> None:
    given_rows = {"k": rows(2), "v": rows(2)}
    given_rows[needs].requires_grad_()
    with rejects("no_grad"):
        KVCache().append(given_rows["k"], given_rows["v"])
