"""The cache by itself; that attention with it equals attention without it is proved in `test_attention`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from companion.nn.kv_cache import CrossKVState, KVCache, KVState
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


def test_selected_rows_and_clones_share_nothing_with_the_cache() -> None:
    cache = KVCache()
    cache.append(rows(3), -rows(3))
    before, order = cache.k.clone(), torch.tensor([1, 0, 1])
    chosen, copied = cache.select(order), cache.clone()
    assert torch.equal(chosen.k, before[order]) and torch.equal(chosen.v, -before[order]) and chosen.length == 3
    for one in (chosen, copied):
        one.truncate(1)
        one.append(one.k + 500.0, one.v + 500.0)
        assert torch.equal(one.k[:, :, 1], one.k[:, :, 0] + 500.0)
    assert torch.equal(cache.k, before) and cache.length == 3
    assert KVCache().select(order).length == KVCache().clone().length == 0


def test_a_selected_cache_keeps_its_room_to_grow() -> None:
    """Beams are selected at each step: if each had to move house for the next position, a step would copy all twice."""
    cache = KVCache()
    for _ in range(5):
        cache.append(rows(1), rows(1))
    chosen = cache.select(torch.tensor([0, 1]))
    store = chosen._k
    assert store.shape[2] > 5
    chosen.append(rows(1), rows(1))
    assert chosen._k is store


def test_all_layers_do_the_same_and_a_source_is_never_cut() -> None:
    state = CrossKVState(KVState(2), KVState(2))
    for layer in (0, 1):
        state.own[layer].append(rows(3, layer), rows(3))
        state.cross[layer].append(rows(7, layer), rows(7))
    copied, chosen = state.clone(), state.select(torch.tensor([1]))
    state.truncate(1)
    assert (state.length, copied.length, chosen.length) == (1, 3, 3)
    for layer in (0, 1):
        assert state.own[layer].length == 1 and state.cross[layer].length == copied.cross[layer].length == 7
        assert torch.equal(chosen.own[layer].k, rows(3, layer)[1:]) and torch.equal(
            chosen.cross[layer].k, rows(7, layer)[1:]
        )


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
