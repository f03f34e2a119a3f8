"""Checks of values: finite tensors, labels, numbers in a range, counts, choices."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Range:
    """``Annotated[float, Range(0, 1)]``: what `checked` lets a number, or all values of a tensor, be.

    Attributes:
        low: the least value; with ``open_low`` even that is too little.
        high: the greatest value.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False


Count = Annotated[int, Range(1)]
Positive = Annotated[float, Range(0, open_low=True)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]


def check_values(name: str, value: Tensor, bounds: Range | None = None) -> None:
    """Raise ``ValueError`` unless all values of a tensor are finite and within the bounds."""
    if not value.numel():
        return
    try:
        least, most = map(float, value.detach().aminmax())  # NaN if one is; a twentieth of the time of isfinite().all()
    except RuntimeError:  # under torch.func.vmap nobody can read a value
        return
    if not (math.isfinite(least) and math.isfinite(most)):
        bad = int((~torch.isfinite(value)).sum())
        raise ValueError(f"{name}: got {bad} values that are NaN or infinite, wanted finite numbers")
    if bounds and (least < bounds.low or (bounds.open_low and least == bounds.low) or most > bounds.high):
        raise ValueError(f"{name}: got values from {least:g} to {most:g}, wanted numbers {_bounds(bounds)}")


def check_float(**tensors: Any) -> None:
    """Raise ``ValueError`` unless every tensor has a floating-point dtype and only finite values."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name}: got {got}, wanted a floating-point tensor; convert it with .float()")
        check_values(name, value)


def check_labels(name: str, labels: Any, classes: int) -> None:
    """Raise ``ValueError`` unless ``labels`` holds integers from 0 to ``classes`` - 1."""
    if not isinstance(labels, Tensor) or labels.dtype not in (torch.int64, torch.int32):
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"{name}: got {got}, wanted integer class indices; convert them with .long()")
    if labels.numel() and not (0 <= int(labels.min()) and int(labels.max()) < classes):
        raise ValueError(
            f"{name}: got values from {int(labels.min())} to {int(labels.max())}, wanted 0 to {classes - 1}"
        )


def check_number(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False
) -> None:
    """Raise ``ValueError`` unless ``value`` is finite and from ``low`` (with ``open_low``: above) to ``high``."""
    bounds = _bounds(Range(low, high, open_low))
    wanted = f"a number {bounds}" if bounds else "a finite number"
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}")
    if value < low or value > high or (open_low and value == low):
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}")


def _bounds(bounds: Range) -> str:
    low = f"{'above' if bounds.open_low else 'from'} {bounds.low:g}"
    return " ".join([low] * (bounds.low > -math.inf) + [f"up to {bounds.high:g}"] * (bounds.high < math.inf))


def check_count(name: str, value: Any, *, low: int = 1, high: int | None = None) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number with ``low`` <= value <= ``high``."""
    wanted = f"a whole number of at least {low}" + ("" if high is None else f" and at most {high}")
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name}: got {value}, wanted {wanted}")


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: got {value!r}, wanted one of {', '.join(map(repr, choices))}")
