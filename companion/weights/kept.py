"""Weights that the reader trained in one lesson and wants in the next: kept in the user's own data folder.

``COMPANION_KEEP`` names another folder. Empty, it means that nothing outlives the process: so do the course's tests run.
"""

import functools
import os
import re
import tempfile
from pathlib import Path

import platformdirs
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from companion.weights import CorruptWeights, Model, distinct, fill

__all__ = ["keep", "kept", "readers_folder"]


def readers_folder() -> Path:
    """Where what belongs to the reader is kept; it need not exist yet."""
    folder = os.environ.get("COMPANION_KEEP")
    if folder is None:
        folder = platformdirs.user_data_path("generative-ai-companion", appauthor=False)
    return Path(folder or _for_this_process().name)


def keep(name: str, model: nn.Module) -> Path:
    """Write a model's weights for another lesson, and return the file; an older one of the name is replaced, whole.

    Args:
        name: letters, digits and underscores.
        model: any.

    Raises:
        ValueError: another name.
    """
    file = _file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    # Copies, because safetensors refuses tensors that share memory.
    save_file({key: value.detach().to("cpu", copy=True).contiguous() for key, value in distinct(model).items()}, part)
    part.replace(file)
    return file


def kept(name: str, model: Model) -> Model | None:
    """Fill a model with weights that were kept; it comes back in evaluation mode. None if nothing of that name is kept.

    Args:
        name: as it was given to `keep`.
        model: untrained, of the same sizes; left as it is on an error.

    Raises:
        ValueError: another name, or a model of other sizes.
        RuntimeError: the file cannot be read (`companion.weights.CorruptWeights`).
    """
    file = _file(name)
    if not file.is_file():
        return None
    try:
        stored = load_file(file)
    except SafetensorError as error:
        raise CorruptWeights(
            f"{file}: got a damaged file, wanted weights; delete it and run its lesson again"
        ) from error
    try:
        return fill(model, stored, f"the weights in {file}")
    except ValueError as error:
        raise ValueError(f"{error}; they are of an older lesson: run it again, and it keeps new ones") from None


def _file(name: str) -> Path:
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError(f"name: got {name!r}, wanted letters, digits and underscores")
    return readers_folder() / f"{name}.safetensors"


@functools.cache
def _for_this_process() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()
