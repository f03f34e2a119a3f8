"""Calling a student's function so that nothing it does can stop the check.

The function gets copies of the inputs and a few seconds of the processor in a thread of its own. Whatever goes wrong (it
raises, runs for ever, returns nothing, the wrong type or shape, NaN) becomes one sentence, a `Wrong`. A number is a number in
whatever type it comes: Python's, numpy's, or a tensor without axes.
"""

import contextlib
import copy
import ctypes
import io
import logging
import math
import numbers
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

TIME_LIMIT = 5.0  # seconds of the processor for one call of a student's function
WAITING = 8  # so many times longer may it take on the clock: the machine may be busy, which is not the student's fault


class Wrong(Exception):
    """A property does not hold.

    Attributes:
        what: what was got and what was wanted, in words.
        mistake: the likely mistake by its name, or nothing.
    """

    def __init__(self, what: str, mistake: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mistake = mistake


class GaveUp(Wrong):
    """The function is not written yet or does not come back; there is no sense in trying its other properties."""


class Answer:
    """A student's function.

    Attributes:
        call: how the exercise calls it, for messages: ``"attend(q, k, v)"``.
    """

    def __init__(self, function: Callable[..., Any], call: str, seconds: float | None = None) -> None:
        """Wrap ``function``; a call may take ``seconds`` of the processor, `TIME_LIMIT` unless given."""
        if not callable(function):
            raise ValueError(f"function: got {type(function).__name__}, wanted your function {call}, without brackets")
        self._function = function
        self._seconds = TIME_LIMIT if seconds is None else seconds
        self.call = call

    def __call__(self, *inputs: Any) -> Any:
        """What the function returns for copies of these inputs.

        Raises:
            Wrong: the function raises an error or returns ``None``.
            GaveUp: the function is a stub, or takes too long.
        """
        copies = [_copy(value) for value in inputs]
        keep = _Keep()
        thread = threading.Thread(target=keep.run, args=(self._function, copies), daemon=True)
        with contained():
            thread.start()
            if not _ends(thread, self._seconds):
                _interrupt(thread)
                thread.join(0.5)
                raise GaveUp(f"{self.call} did not come back within {self._seconds:g} s", "a loop that never ends")
        if keep.error is not None:
            self._explain(keep.error)
        if keep.result is None:
            raise Wrong("got None", "no `return` at the function's end")
        return keep.result

    def tensor(self, *inputs: Any, shape: tuple[int, ...]) -> Tensor:
        """The function's result, if it is a floating-point tensor of this shape with finite values; for ``()`` also a number.

        Raises:
            Wrong: it is something else.
        """
        result = self(*inputs)
        if not shape and _is_real(result):
            result = torch.tensor(float(result), dtype=torch.float64)
        if not isinstance(result, Tensor):
            raise Wrong(f"got {type(result).__name__}, wanted a torch.Tensor of shape {shape}")
        if tuple(result.shape) != tuple(shape):
            raise Wrong(f"got shape {tuple(result.shape)}, wanted {tuple(shape)}", _shape_mistake(result, shape))
        if not result.is_floating_point():
            raise Wrong(f"got {result.dtype}, wanted floating-point numbers")
        bad = int((~torch.isfinite(result)).sum())
        if bad:
            kind = "NaN" if torch.isnan(result).any() else "infinite"
            raise Wrong(f"got {bad} of {result.numel()} values that are {kind}, wanted finite numbers")
        return result

    def numbers(self, *inputs: Any, count: int) -> tuple[float, ...]:
        """The function's result, if it is so many finite numbers.

        Raises:
            Wrong: it is something else.
        """
        result = self(*inputs)
        if isinstance(result, (Tensor, np.ndarray)) and result.ndim == 1:
            result = list(result)
        if not isinstance(result, (tuple, list)) or len(result) != count:
            raise Wrong(f"got {str(result)[:60]}, wanted {count} numbers, with commas between them")
        return tuple(_number(value) for value in result)

    def number(self, *inputs: Any) -> float:
        """The function's result, if it is one finite number."""
        return _number(self(*inputs))

    def tensors(self, *inputs: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
        """The function's results, if they are floating-point tensors of these shapes with finite values."""
        result = self(*inputs)
        if not isinstance(result, (tuple, list)) or len(result) != len(shapes):
            raise Wrong(f"got {type(result).__name__}, wanted {len(shapes)} tensors, with a comma between them")
        return tuple(
            Answer(lambda one=one: one, self.call).tensor(shape=shape)
            for one, shape in zip(result, shapes, strict=True)
        )

    def _explain(self, error: BaseException) -> None:
        if isinstance(error, NotImplementedError):
            raise GaveUp(f"{self.call} is not written yet: put your code in place of `raise NotImplementedError`")
        code = getattr(self._function, "__code__", None)
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if code is not None and frame.filename == code.co_filename
        ]
        where = f" in line {lines[-1]} of its cell" if lines else ""
        message = " ".join(str(error).split())[:200]
        raise Wrong(f"{self.call} raised {type(error).__name__}{where}: {message}")


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """What runs inside warns and logs to nobody, and leaves torch's default type as it was.

    A notebook may have set up `logging` or written to stderr, where nbgrader takes anything for a failure of the cell.
    """
    dtype, disabled = torch.get_default_dtype(), logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        if disabled < logging.CRITICAL:  # else it is already so; and each change goes through all loggers there are
            logging.disable()
        try:
            yield
        finally:
            if logging.root.manager.disable != disabled:
                logging.disable(disabled)
            torch.set_default_dtype(dtype)


def plain(value: Any) -> Any:
    """A result with Python's own numbers and lists in place of numpy's and torch's, also inside a list or a tuple."""
    if isinstance(value, (np.generic, np.ndarray, Tensor)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        parts = [plain(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return copy.deepcopy(value) if isinstance(value, (list, tuple, dict)) else value


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _number(value: Any) -> float:
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
        raise Wrong(f"got a tensor of shape {tuple(value.shape)}, wanted a plain number", "a tensor: take its .item()")
    got, value = type(value).__name__, plain(value)
    if not _is_real(value):
        raise Wrong(f"got {got}, wanted a plain number")
    if not math.isfinite(value):
        raise Wrong(f"got {value}, wanted a finite number")
    return float(value)


class _Keep:
    """A context that keeps what its body raises: the check reports it, whatever it is."""

    def __init__(self) -> None:
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, function: Callable[..., Any], inputs: Sequence[Any]) -> None:
        with self:
            self.result = function(*inputs)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


def _ends(thread: threading.Thread, seconds: float) -> bool:
    """Wait until a thread has ended, used so much of the processor, or waited `WAITING` times as long."""
    used, started = time.process_time(), time.monotonic()
    while time.process_time() - used < seconds and time.monotonic() - started < WAITING * seconds:
        thread.join(0.02)
        if not thread.is_alive():
            return True
    return False


class _TimeIsUp(BaseException):
    """Thrown into the thread of a function that runs too long."""


def _interrupt(thread: threading.Thread) -> None:
    # The one way to stop a Python loop in another thread; one that hangs in C code stays behind as a daemon.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TimeIsUp))


def _shape_mistake(result: Tensor, shape: tuple[int, ...]) -> str:
    if result.ndim == 0 and shape:
        return "averaged or summed over the batch too"
    if result.ndim == len(shape) and sorted(result.shape) == sorted(shape):
        return "two axes are swapped"
    if result.ndim == len(shape) + 1 and 1 in result.shape:
        return "an axis of size 1 is left (keepdim, or a missing squeeze)"
    if result.ndim > len(shape):
        return "an axis is not summed over"
    return ""
