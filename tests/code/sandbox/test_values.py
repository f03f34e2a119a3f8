"""Values across the wall: what comes back is what went in, and what counts as the same."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.code.sandbox.values import pack, same_value, unpack
from tests.conftest import rejects

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=10**30), st.floats(), st.complex_numbers(),
    st.text(st.characters(exclude_categories=()), max_size=5), st.binary(max_size=5),
)  # fmt: skip
KEYS = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
VALUES = st.recursive(
    KEYS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.sets(KEYS, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_comes_back_as_it_went_in(value) -> None:
    back = unpack(json.loads(json.dumps(pack(value))))
    assert same_value(back, value)
    assert same_value([value], [back]) and not same_value(value, [value])


DIFFERENT = [0, 1, False, True, None, 1.0, 0.5, math.nan, math.inf, -math.inf, "1", "", b"1", b"", 1j, [], (), {}, set(),
             frozenset(), [1], (1,), {1}, {1: 1}, {1: 2}, [[1]], [1, 1], [True], [1.0], {True},
             {1.0: 1}, {"int": "1"}]  # fmt: skip


def test_each_is_the_same_as_itself_alone() -> None:
    for i, one in enumerate(DIFFERENT):
        for j, other in enumerate(DIFFERENT):
            assert same_value(one, other) == (i == j), (one, other)


def test_order_counts_where_it_counts() -> None:
    assert same_value({1: "a", 2: "b"}, {2: "b", 1: "a"}) and same_value({"x", "y", 3}, {3, "y", "x"})
    assert not same_value([1, 2], [2, 1])
    assert same_value(0.0, -0.0) and same_value([math.nan], [float("nan")])


class Yes(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "[1, 2, 3]"

    __hash__ = __pos__ = __neg__ = __index__ = None


class Listed(list):
    def __iter__(self):
        return iter([7])


class Spoof:
    __class__ = list

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def test_what_inherits_crosses_as_the_value_that_it_holds() -> None:
    assert pack(Yes(5)) == 5 and type(pack(Yes(5))) is int
    assert pack(Listed([1])) == [1]
    assert not same_value(Yes(5), [1, 2, 3])
    for other in (Spoof(), object(), RuntimeError("x"), range(3), [object()]):
        assert not same_value(other, other) and not same_value(other, [])


@pytest.mark.parametrize(
    "packed",
    [1.5, {}, {"int": "1", "float": "1"}, {"code": "x"}, {"int": "x"}, {"int": 3}, {"float": None}, {"bytes": "g"},
     {"tuple": 3}, {"dict": [[1]]}, {"dict": 3}, {"set": [[1]]}, {"dict": [[{"set": []}, 1]]}],
)  # fmt: skip
def test_refuses_what_nobody_packs(packed) -> None:
    with pytest.raises(ValueError):
        unpack(packed)


def test_bad_input() -> None:
    with rejects("object"):
        pack(object())
    with rejects("kind"):
        unpack({"code": "x"})
