"""Clear errors for bad input: what was got, what was wanted, what to do.

Shapes are written as in the annotations: ``"batch 1 28 28"`` names an axis once and fixes others; a name that stands in
two tensors of one call must have one size in both, so nothing is broadcast by accident.
"""

import functools
import math
from collections.abc import Collection
from numbers import Integral, Real

import torch
from torch import Tensor


def check_shapes(**tensors: tuple[Tensor, str]) -> dict[str, int]:
    """Check tensors against shapes and return the sizes of the named axes.

    ``check_shapes(q=(q, "batch heads n d"), k=(k, "batch heads m d"))``; a leading ``...`` stands for any axes, ``_``
    for an axis of any size.

    Raises:
        ValueError: a tensor is not a tensor, has another number of axes, another size, or an empty axis.
    """
    sizes: dict[str, int] = {}
    for name, (value, shape) in tensors.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: got {type(value).__name__}, wanted a torch.Tensor of shape ({shape})")
        got, axes = tuple(value.shape), _axes(shape)
        if axes and axes[0] == "...":
            axes = axes[1:]
            got = got[len(got) - len(axes) :] if len(got) >= len(axes) else got
        if len(got) != len(axes):
            raise ValueError(
                f"{name}: got shape {tuple(value.shape)} with {value.ndim} axes, wanted {len(axes)}: ({shape})"
            )
        if 0 in value.shape:
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, wanted no empty axis in ({shape})")
        for axis, size in zip(axes, got, strict=True):
            if axis == "_":
                continue
            want = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
            if size != want:
                raise ValueError(
                    f"{name}: got shape {tuple(value.shape)}, wanted ({shape}) with {axis} = {want}, not {size}"
                )
    return sizes


@functools.cache
def _axes(shape: str) -> tuple[str, ...]:
    return tuple(shape.split())


def check_float(**tensors: Tensor) -> None:
    """Raise ``ValueError`` unless every tensor has a floating-point dtype and only finite values."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name}: got {got}, wanted a floating-point tensor; convert it with .float()")
        if not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            raise ValueError(f"{name}: got {bad} values that are NaN or infinite, wanted finite numbers")


def check_labels(name: str, labels: Tensor, classes: int) -> None:
    """Raise ``ValueError`` unless ``labels`` holds integers from 0 to ``classes`` - 1."""
    if not isinstance(labels, Tensor) or labels.dtype not in (torch.int64, torch.int32):
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"{name}: got {got}, wanted integer class indices; convert them with .long()")
    if labels.numel() and not (0 <= int(labels.min()) and int(labels.max()) < classes):
        raise ValueError(
            f"{name}: got values from {int(labels.min())} to {int(labels.max())}, wanted 0 to {classes - 1}"
        )


def check_number(
    name: str, value: float, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False
) -> None:
    """Raise ``ValueError`` unless ``value`` is finite and from ``low`` (with ``open_low``: above) to ``high``."""
    bounds = [f"{'above' if open_low else 'from'} {low:g}"] * (low > -math.inf) + [f"up to {high:g}"] * (
        high < math.inf
    )
    wanted = " ".join(["a number", *bounds]) if bounds else "a finite number"
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}")
    if value < low or value > high or (open_low and value == low):
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}")


def check_count(name: str, value: int, *, low: int = 1, high: int | None = None) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number with ``low`` <= value <= ``high``."""
    wanted = f"a whole number of at least {low}" + ("" if high is None else f" and at most {high}")
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name}: got {value}, wanted {wanted}")


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: got {value!r}, wanted one of {', '.join(map(repr, choices))}")
