"""Checks of values: each takes what it should, and says of the rest what was got and what was wanted."""

import math
from typing import Annotated

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from companion.validate import (
    Positive,
    Range,
    check_choice,
    check_count,
    check_float,
    check_labels,
    check_number,
    checked,
)
from tests.conftest import jaxtyping_off, rejects


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


def test_an_open_end_is_not_taken():
    """Zero is not positive: as a number, and as the least of a tensor."""

    @checked
    def scale(factor: Positive, each: Annotated[Float[Tensor, "n"], Range(0, 1, open_low=True)]) -> None:
        pass

    scale(1e-30, torch.tensor([1e-30, 1.0]))
    with rejects("factor: got 0"):
        scale(0.0, torch.ones(2))
    with rejects("each: got"):
        scale(1.0, torch.tensor([0.5, 0.0]))
