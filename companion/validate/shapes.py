"""Shapes in words, as jaxtyping writes them, and what is wrong with the shape that was got."""

from typing import Any

from torch import Tensor


def check_shapes(**tensors: tuple[Any, str]) -> dict[str, int]:
    """Check tensors against shapes and return the sizes of the named axes: what `checked` does, as a statement.

    ``check_shapes(q=(q, "batch heads n d"), k=(k, "batch heads m d"))``; ``...`` stands for any axes, ``_`` for an axis
    of any size.

    Raises:
        ValueError: a tensor is not a tensor, has another number of axes, another size, or an empty axis.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, (value, shape) in tensors.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: got {type(value).__name__}, wanted a torch.Tensor of shape ({shape})")
        if problem := shape_problem(name, tuple(value.shape), shape, sizes):
            raise ValueError(problem)
    return {axis: size for axis, (size, _) in sizes.items()}


def shape_problem(name: str, got: tuple[int, ...], shape: str, sizes: dict[str, tuple[Any, str]]) -> str | None:
    """What is wrong with a shape, in words; the size of an axis that is named for the first time is noted, and where."""
    axes, places = shape.split(), list(got)
    dots = next((i for i, axis in enumerate(axes) if axis == "..." or axis[0] == "*"), None)
    least = len(axes) - (dots is not None)
    if len(got) < least or (dots is None and len(got) > least):
        wanted = f"{least}" if dots is None else f"at least {least}"
        return f"{name}: got shape {got} with {len(got)} axes, wanted {wanted}: ({shape})"
    if 0 in got:
        return f"{name}: got shape {got}, wanted no empty axis in ({shape})"
    if dots is not None:
        after = len(got) - (least - dots)
        places[dots:after] = [got[dots:after]]
    for axis, size in zip(axes, places, strict=True):
        label, _, value = axis.lstrip("*").rpartition("=")
        if value.isdigit():
            want, where = int(value), name
        elif value.isidentifier() and value[0] != "_":
            want, where = sizes.setdefault(value, (size, name))
        else:
            continue
        if size != want:
            source = f" ({label or value} = {want} in {where})" if where != name else ""
            return f"{name}: got shape {got}, wanted ({shape}) with {label or value} = {want}, not {size}{source}"
    return None
