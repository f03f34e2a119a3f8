"""Data set classes, which loaders return: the examples, where they come from and what one may do with them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from companion.validate import Finite, check_float, checked

Set = TypeVar("Set", bound="DataSet")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What all sets have.

    Attributes:
        name: the loader's name.
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        license: the data's licence.
        source: the package and file, or the program, that they come from.
    """

    name: str
    split: str
    license: str
    source: str

    def to(self: Set, device: torch.device | str) -> Set:
        """The set with its tensors on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: value.to(device) for k, value in tensors.items() if isinstance(value, Tensor)})


@dataclass(frozen=True, kw_only=True)
class ImageSet(DataSet):
    """Images in [-1, 1] with a class each.

    Attributes:
        images: float32.
        labels: int64.
        classes: the name of each class.
    """

    images: Float[Tensor, "n channels height width"]
    labels: Int[Tensor, "n"]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, channels, height, width = self.images.shape
        return (
            f"{self.name}, {self.split}: {n} images, {channels}×{height}×{width} in [-1, 1], "
            f"{len(self.classes)} classes ({self.license}; {self.source})"
        )


@dataclass(frozen=True, kw_only=True)
class TextSet(DataSet):
    """One running text."""

    text: str

    def __len__(self) -> int:
        return len(self.text)

    def __repr__(self) -> str:
        return f"{self.name}, {self.split}: {len(self.text):,} characters ({self.license}; {self.source})"


@dataclass(frozen=True, kw_only=True)
class PairSet(DataSet):
    """Pairs of strings: what is given, and what is wanted for it."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(zip(self.inputs, self.targets, strict=True))

    def __repr__(self) -> str:
        return f"{self.name}, {self.split}: {len(self):,} pairs of strings ({self.license}; {self.source})"


@dataclass(frozen=True, kw_only=True)
class AudioSet(DataSet):
    """Clips of sound with a class each, padded with silence to one length.

    Attributes:
        waves: float32 in [-1, 1].
        labels: int64.
        classes: the name of each class.
        speakers: the name of the voice of each clip.
        rate: samples per second.
    """

    waves: Float[Tensor, "n samples"]
    labels: Int[Tensor, "n"]
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    rate: int

    def __len__(self) -> int:
        return len(self.waves)

    def __repr__(self) -> str:
        seconds = self.waves.shape[1] / self.rate
        return (
            f"{self.name}, {self.split}: {len(self)} clips of {seconds:.2f} s at {self.rate} Hz, "
            f"{len(self.classes)} classes ({self.license}; {self.source})"
        )


def to_model(pixels: Tensor) -> Tensor:
    """Map grey values in [0, 255] to [-1, 1], float32: what every image model of the course takes.

    Raises:
        ValueError: not a tensor, or a value outside [0, 255].
    """
    if not isinstance(pixels, Tensor):
        raise ValueError(f"pixels: got {type(pixels).__name__}, wanted a torch.Tensor of grey values from 0 to 255")
    values = pixels.float()
    check_float(pixels=values)
    if values.numel() and (values.min() < 0 or values.max() > 255):
        raise ValueError(f"pixels: got values from {values.min():g} to {values.max():g}, wanted 0 to 255")
    return values / 127.5 - 1


@checked
def to_display(images: Finite[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """The inverse of `to_model`: [-1, 1] to whole grey values 0 to 255, uint8; what lies outside is clipped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).byte()
