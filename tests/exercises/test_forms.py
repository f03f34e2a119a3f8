"""A right answer is right in whatever type its numbers come, and whatever else it or its notebook does to the process."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from companion.exercises.checking import Exercise, all_exercises, grade
from tests.exercises import notebooks
from tests.exercises.test_assignments import CASES, IDS, function_name

Form = Callable[[Any], Any]


def each(result: Any, form: Form) -> Any:
    """A result with another form of every number and tensor in it."""
    if isinstance(result, (list, tuple)):
        return type(result)(each(part, form) for part in result)
    return form(result) if isinstance(result, (int, float, Tensor)) and not isinstance(result, bool) else result


def numpy_number(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.ndim or value.requires_grad else np.float32(value)
    return np.int64(value) if isinstance(value, int) else np.float32(value)


def without_axes(value: Any) -> Any:
    return value if isinstance(value, Tensor) else torch.tensor(value)


def python_number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) and not value.ndim and not value.requires_grad else value


def double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


FORMS = {"numpy's numbers": numpy_number, "tensors without axes": without_axes, "Python's numbers": python_number,
         "tensors in float64": double}  # fmt: skip


@pytest.fixture
def default_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@contextlib.contextmanager
def logging_set_up() -> Iterator[None]:
    """As a notebook would: everything to stderr, warnings too. No fixture: only in the test is stderr what `capsys` reads."""
    before = logging.root.level
    handler = logging.StreamHandler(sys.stderr)
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.root.setLevel(before)
        logging.root.removeHandler(handler)


def right(path: Path, exercise: Exercise) -> Callable[..., Any]:
    return notebooks.functions(path)[function_name(exercise)]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
def test_a_right_answer_is_right_in_every_type_of_number(path: Path, exercise: Exercise, form: Form) -> None:
    answer = right(path, exercise)
    assert grade(exercise.id, lambda *inputs: each(answer(*inputs), form), seed=5) == exercise.points


def tokens(f: int, h: int, w: int, t: int, s: int) -> tuple[int, int, int]:
    n = f * h * w // (t * s * s)
    return n, n * n, 4


@pytest.mark.parametrize(
    ("exercise", "numbers"), [("3.3.2", lambda m, s: (0, (m * m + s * s) ** 0.5, m, s)), ("3.7.4", tokens)]
)
def test_whole_numbers_as_floats_and_one_tensor_for_several_numbers(exercise: str, numbers: Callable[..., Any]) -> None:
    points = all_exercises()[exercise].points
    assert grade(exercise, lambda *inputs: [float(value) for value in numbers(*inputs)], seed=5) == points
    assert grade(exercise, lambda *inputs: torch.tensor(numbers(*inputs), dtype=torch.float64), seed=5) == points
    assert grade(exercise, lambda *inputs: np.array(numbers(*inputs)), seed=5) == points


@pytest.mark.usefixtures("default_float64")
@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
def test_a_right_answer_is_right_under_another_default_type(path: Path, exercise: Exercise) -> None:
    assert grade(exercise.id, right(path, exercise), seed=5) == exercise.points
    assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize(("path", "exercise"), CASES, ids=IDS)
def test_a_right_answer_may_print_warn_and_log(
    path: Path, exercise: Exercise, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it reaches stderr, where nbgrader takes anything for a failure; logging stays on."""
    answer = right(path, exercise)

    def chatty(*inputs: Any) -> Any:
        logging.getLogger("mine").critical("so far")
        warnings.warn("careful", stacklevel=1)
        print("half way")
        print("also here", file=sys.stderr)
        return answer(*inputs)

    with logging_set_up():
        assert grade(exercise.id, chatty, seed=5) == exercise.points
        said = capsys.readouterr()
        assert "half way" in said.out
        assert said.err == ""
        logging.getLogger("mine").info("heard")
        assert capsys.readouterr().err == "heard\n"


def test_a_default_type_that_an_answer_sets_does_not_stay() -> None:
    def sets(log_joint: Tensor, log_q: Tensor) -> Tensor:
        torch.set_default_dtype(torch.float64)
        return (log_joint - log_q).logsumexp(0) - torch.tensor(float(len(log_q))).log()

    assert grade("3.3.4", sets, seed=5) == all_exercises()["3.3.4"].points
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    "nothing", [True, np.True_, torch.tensor(True), 1j, "1", np.float32("nan"), torch.tensor([1.0])]
)
def test_what_is_no_number_is_none_in_any_type(nothing: Any) -> None:
    assert grade("3.4.5", lambda batches: nothing, seed=5) == 0
    assert grade("3.3.2", lambda m, s: (nothing,) * 4, seed=5) == 0
