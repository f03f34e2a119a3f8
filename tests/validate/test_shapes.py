"""Shapes in words: what fits, and what is wrong with the rest."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.validate import check_shapes
from tests.conftest import rejects

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(sizes=SIZES)
def test_named_axes_come_back_with_their_sizes(sizes):
    axes = [f"axis{i}" for i in range(len(sizes))]
    assert check_shapes(x=(torch.zeros(sizes), " ".join(axes))) == dict(zip(axes, sizes, strict=True))
    assert check_shapes(x=(torch.zeros(sizes), " ".join(map(str, sizes)))) == {}
    assert check_shapes(x=(torch.zeros(7, *sizes), "... " + " ".join(axes))) == dict(zip(axes, sizes, strict=True))
    assert check_shapes(x=(torch.zeros(sizes), " ".join("_" for _ in sizes))) == {}


@given(sizes=SIZES, place=st.integers(0, 3), more=st.integers(1, 3))
def test_any_other_shape_is_refused(sizes, place, more):
    place %= len(sizes)
    axes = " ".join(map(str, sizes))
    other = [size + more * (i == place) for i, size in enumerate(sizes)]
    with rejects(rf"x: got shape .*wanted .* = {sizes[place]}, not {other[place]}"):
        check_shapes(x=(torch.zeros(other), axes))
    with rejects(rf"with {len(sizes) + 1} axes, wanted {len(sizes)}"):
        check_shapes(x=(torch.zeros(1, *sizes), axes))
    with rejects("axes, wanted"):
        check_shapes(x=(torch.zeros(sizes[1:]), "... " + axes))
    empty = [size * (i != place) for i, size in enumerate(sizes)]
    with rejects("no empty axis"):
        check_shapes(x=(torch.zeros(empty), " ".join("_" for _ in sizes)))


def test_an_axis_has_one_size_in_all_tensors():
    q, k = torch.zeros(2, 3, 5), torch.zeros(2, 4, 5)
    assert check_shapes(q=(q, "b n d"), k=(k, "b m d")) == {"b": 2, "n": 3, "d": 5, "m": 4}
    with rejects(r"k: got shape \(2, 4, 5\), wanted \(b n d\) with n = 3, not 4"):
        check_shapes(q=(q, "b n d"), k=(k, "b n d"))
    with rejects(r"v: got shape \(1, 4, 5\)"):  # would broadcast
        check_shapes(k=(k, "b m d"), v=(torch.zeros(1, 4, 5), "b m d"))
    with rejects("x: got list, wanted a torch.Tensor"):
        check_shapes(x=([1.0], "n"))
    assert check_shapes(x=(torch.tensor(1.0), "")) == {}
    assert check_shapes(x=(torch.tensor(1.0), "...")) == {}


def test_empty_axes_are_found_before_the_dots_too():
    with rejects("no empty axis"):
        check_shapes(x=(torch.zeros(0, 3), "... d"))
