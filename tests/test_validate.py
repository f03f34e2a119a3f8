"""Each helper accepts what it should, and says of the rest what was got and what was wanted."""

import contextlib
import math

import jaxtyping
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.validate import check_choice, check_count, check_float, check_labels, check_number, check_shapes
from tests.conftest import rejects


@contextlib.contextmanager
def jaxtyping_off():
    """What a caller sees outside pytest, where types are not checked at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


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


def test_floats_must_be_floats_and_finite():
    check_float(x=torch.zeros(2), y=torch.zeros(0), z=torch.zeros(1, dtype=torch.bfloat16))
    with rejects(r"y: got torch.int64, wanted a floating-point tensor; convert it with .float\(\)"):
        check_float(x=torch.zeros(2), y=torch.zeros(2).long())
    with rejects("x: got ndarray"):
        check_float(x=torch.zeros(2).numpy())
    for bad in (math.nan, math.inf, -math.inf):
        with rejects("x: got 1 values that are NaN or infinite"):
            check_float(x=torch.tensor([0.0, bad, 1.0]))


@given(st.lists(st.integers(-3, 12), max_size=6), st.integers(1, 9))
def test_labels_must_name_a_class(values, classes):
    labels = torch.tensor(values, dtype=torch.int64)
    if all(0 <= value < classes for value in values):
        check_labels("labels", labels, classes)
    else:
        with rejects(rf"labels: got values from .*, wanted 0 to {classes - 1}"):
            check_labels("labels", labels, classes)


def test_labels_must_be_integers():
    for labels in (torch.zeros(3), torch.zeros(3, dtype=torch.bool), [0, 1], torch.zeros(3, dtype=torch.uint8)):
        with rejects("labels: got .*wanted integer class indices"):
            check_labels("labels", labels, 4)


@given(
    st.one_of(st.floats(), st.integers(-5, 5), st.booleans(), st.none(), st.text(max_size=2)), st.booleans(), st.data()
)
def test_numbers_are_taken_if_and_only_if_in_range(value, open_low, data):
    low, high = sorted(data.draw(st.tuples(st.floats(-4, 4), st.floats(-4, 4))))
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if number and (low < value or (low == value and not open_low)) and value <= high:
        check_number("x", value, low=low, high=high, open_low=open_low)
    else:
        with rejects("^x: got"):
            check_number("x", value, low=low, high=high, open_low=open_low)


@given(st.one_of(st.integers(-9, 9), st.floats(-9, 9), st.booleans(), st.none()), st.integers(-3, 3), st.integers(4, 6))
def test_counts_are_whole_numbers_in_range(value, low, high):
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        check_count("n", value, low=low, high=high)
    else:
        with rejects(rf"n: got .*, wanted a whole number of at least {low} and at most {high}"):
            check_count("n", value, low=low, high=high)


def test_numbers_of_other_libraries_are_taken():
    with jaxtyping_off():
        check_count("n", np.int64(3))
        check_number("x", np.float32(0.5), low=0, high=1)
    with rejects(r"wanted a number above 0$"):
        check_number("x", 0, low=0, open_low=True)
    with rejects(r"wanted a number from 0 up to 1$"):
        check_number("x", 2.0, low=0, high=1)
    with rejects(r"wanted a number up to 1$"):
        check_number("x", 2.0, high=1)
    with rejects(r"wanted a finite number$"):
        check_number("x", math.nan)


def test_a_choice_lists_what_there_is():
    check_choice("color", "red", ("red", "green"))
    for bad in ("blue", "", None, 3, ["red"]):
        with rejects("color: got .*, wanted one of 'red', 'green'"):
            check_choice("color", bad, ("red", "green"))
    with rejects("wanted one of 'red', 'green'"):
        check_choice("color", ["red"], {"red": 1, "green": 2})
