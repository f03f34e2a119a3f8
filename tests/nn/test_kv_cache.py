"""The cache by itself; that attention with it equals attention without it is proved in `test_attention`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from companion.nn.kv_cache import CrossKVState, KVCache, KVState, WindowKVCache
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
        seen = cache.append(k[-1], v[-1])
        assert torch.equal(seen[0], cache.k) and torch.equal(seen[1], cache.v)
    assert cache.length == sum(parts) and cache.first == 0
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


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 6), st.integers(0, 3))
def test_a_window_gives_what_can_be_seen_and_keeps_no_more(parts: list[int], window: int, spare: int) -> None:
    """Against a cache that keeps all: the keys from the first that the first new position sees, to the last."""
    whole, cache = KVCache(), WindowKVCache(window, spare=spare)
    for number, n in enumerate(parts):
        k = rows(n, 1000.0 * number)
        first = max(0, cache.length - window + 1)
        assert cache.first == first
        seen = cache.append(k, -k)
        whole.append(k, -k)
        assert cache.length == whole.length
        assert torch.equal(seen[0], whole.k[:, :, first:]) and torch.equal(seen[1], whole.v[:, :, first:])
        held = min(cache.length, window - 1 + spare)
        assert cache.k.shape[2] == cache.v.shape[2] == held
        assert torch.equal(cache.k, whole.k[:, :, cache.length - held :])


def test_a_window_does_not_keep_a_long_prompt_alive() -> None:
    cache = WindowKVCache(4)
    cache.append(rows(500), rows(500))
    assert cache.k.untyped_storage().nbytes() == cache.k.numel() * cache.k.element_size()
    for _ in range(20):
        cache.append(rows(1), rows(1))
        assert cache.k.untyped_storage().nbytes() <= 2 * cache.k.numel() * cache.k.element_size()


def test_a_window_goes_back_as_far_as_it_has_spare_positions_I23() -> None:
    for back in (0, 1, 3):
        cache, plain = WindowKVCache(4, spare=3), WindowKVCache(4, spare=3)
        cache.append(rows(11), -rows(11))
        plain.append(rows(11)[:, :, : 11 - back], -rows(11)[:, :, : 11 - back])
        cache.truncate(11 - back)
        assert cache.length == plain.length and cache.first == plain.first
        for one, other in zip(
            cache.append(rows(2, 500.0), rows(2, 700.0)), plain.append(rows(2, 500.0), rows(2, 700.0)), strict=True
        ):
            assert torch.equal(one, other)
    cache = WindowKVCache(4, spare=3)
    cache.append(rows(11), rows(11))
    for bad in (7, 0, 12, -1):
        with rejects("length"):
            cache.truncate(bad)
    assert cache.length == 11
    short = WindowKVCache(4, spare=3)
    short.append(rows(6), rows(6))  # all are still there
    short.truncate(0)
    assert torch.equal(short.append(rows(2), rows(2))[0], rows(2)) and short.length == 2


def test_windows_are_selected_and_cloned_as_other_caches_are() -> None:
    state, order = KVState([WindowKVCache(3, spare=1), KVCache()]), torch.tensor([1, 0, 1])
    assert state.select(order)[0].window == 3
    for cache in state:
        cache.append(rows(6), -rows(6))
    chosen, copied = state.select(order), state.clone()
    for one in (chosen, copied):
        assert isinstance(one[0], WindowKVCache) and (one[0].window, one[0].spare, one.length) == (3, 1, 6)
        one.truncate(5)
        for cache in one:
            cache.append(cache.k[:, :, -1:] + 500.0, cache.v[:, :, -1:])
    kept = torch.cat([rows(6)[:, :, 3:5], rows(6)[:, :, 4:5] + 500.0], 2)
    assert torch.equal(chosen[0].k, kept[order]) and torch.equal(copied[0].k, kept)
    assert state.length == 6 and torch.equal(state[0].k, rows(6)[:, :, 3:])


def test_bad_windows() -> None:
    for bad in ({"window": 0}, {"window": 3, "spare": -1}):
        with rejects(list(bad)[-1]):
            WindowKVCache(**bad)
    with rejects("empty"):
        WindowKVCache(3).v
    cache = WindowKVCache(3)
    cache.append(rows(5), rows(5))
    with rejects("k:"):
        cache.append(rows(5)[:1], rows(5)[:1])
    with rejects("no_grad"):
        cache.append(rows(1).requires_grad_(), rows(1))
