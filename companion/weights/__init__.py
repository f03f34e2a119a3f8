"""Weights that ship with the course: models that take minutes to train and a second to load.

Each lies here as ``NAME.safetensors`` (16-bit floats) beside its card ``NAME.json``: the recipe that trained it, the data and
their licence, the seed, how long it took, how good it is, and the checksum of the file. ``python -m companion train NAME``
trains it again (`companion.models`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from companion.validate import check_choice

_FOLDER = Path(__file__).parent
LARGEST = 6_000_000  # bytes of one file
Model = TypeVar("Model", bound=nn.Module)


class CorruptWeights(RuntimeError):
    """A file of weights is not the one that its card describes."""


@dataclass(frozen=True)
class Card:
    """What is known about shipped weights.

    Attributes:
        name: of the weights and of the recipe.
        about: what the model is and does, in a sentence.
        data: what it was trained on, with licence and source.
        seed: of the training.
        seconds: of the training, on one core.
        parameters: how many numbers it has.
        quality: what was measured of the shipped, rounded weights, by name.
        sha256: of the file.
    """

    name: str
    about: str
    data: str
    seed: int
    seconds: float
    parameters: int
    quality: dict[str, float]
    sha256: str


def names() -> list[str]:
    """The names of all shipped weights."""
    return sorted(file.stem for file in _FOLDER.glob("*.json"))


def card(name: str) -> Card:
    """The card of shipped weights.

    Raises:
        ValueError: there are none of that name.
    """
    check_choice("name", name, names())
    return Card(**json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def load_weights(name: str, model: Model) -> Model:
    """Fill a model with shipped weights; it comes back in evaluation mode, in its own precision.

    Args:
        name: of the weights, as `names` lists them.
        model: untrained, of the sizes that the recipe builds.

    Raises:
        ValueError: no weights of that name, or a model of other sizes.
        CorruptWeights: the file is missing, or not the one that the card describes.
    """
    about, file = card(name), _FOLDER / f"{name}.safetensors"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != about.sha256:
        raise CorruptWeights(f"{file.name}: missing or changed; train it again with: python -m companion train {name}")
    return fill(model, load_file(file), f"the weights {name!r}")


def fill(model: Model, stored: Mapping[str, torch.Tensor], what: str) -> Model:
    """Copy weights into a model of the same names and sizes, in its own precision; it comes back in evaluation mode.

    Args:
        model: left as it is on an error.
        stored: the tensors by name, each shared one once.
        what: whose they are, for the error.

    Raises:
        ValueError: a model of other names or sizes.
    """
    own = distinct(model)
    wrong = sorted(stored.keys() ^ own.keys()) or [k for k in own if own[k].shape != stored[k].shape]
    if wrong:
        raise ValueError(f"model: got one that differs from {what} in {wrong[:4]}, wanted the recipe's model")
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(stored[key])
    return model.eval()


def save_weights(
    model: nn.Module, *, name: str, about: str, data: str, seed: int, seconds: float, quality: dict[str, float],
    folder: Path = _FOLDER,
) -> Card:  # fmt: skip
    """Write a model's weights as 16-bit floats, and their card; each file appears whole or not at all.

    Raises:
        ValueError: more than `LARGEST` bytes, or weights that 16 bits cannot hold.
    """
    tensors = {
        key: tensor.detach().to("cpu", torch.float16 if tensor.is_floating_point() else tensor.dtype).contiguous()
        for key, tensor in distinct(model).items()
    }
    lost = [key for key, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if lost:
        raise ValueError(f"weights: got values in {lost} that are not finite in 16 bits, wanted |w| < 65,504")
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > LARGEST:
        raise ValueError(f"weights: got {size:,} bytes, wanted at most {LARGEST:,}: a smaller model")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.safetensors.part"
    save_file(tensors, part)
    written = Card(
        name=name, about=about, data=data, seed=seed, seconds=round(seconds, 1), quality=quality,
        parameters=sum(p.numel() for p in model.parameters()), sha256=hashlib.sha256(part.read_bytes()).hexdigest(),
    )  # fmt: skip
    part.replace(folder / f"{name}.safetensors")
    part = folder / f"{name}.json.part"
    part.write_text(json.dumps(asdict(written), indent=2) + "\n", encoding="utf-8")
    part.replace(folder / f"{name}.json")
    return written


def round_to_16_bits(model: Model) -> Model:
    """Give a model the precision that its weights will have when shipped, in place."""
    with torch.no_grad():
        for tensor in distinct(model).values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return model


def distinct(model: nn.Module) -> dict[str, torch.Tensor]:
    """The model's parameters and stored buffers, those that are one and the same tensor once."""
    seen: dict[int, str] = {}
    for key, tensor in model.state_dict(keep_vars=True).items():
        seen.setdefault(id(tensor), key)
    kept = set(seen.values())
    return {key: tensor for key, tensor in model.state_dict(keep_vars=True).items() if key in kept}
