"""A text from three sources in turns, so that one can see whether the experts share the work by source.

Shakespeare's plays, programs of Python's standard library, and dates in ten languages with their ISO form
(``9 mars 1987 = 1987-03-09``), a piece of some hundred characters of each after the other: a third of the characters each.
"""

import string
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from companion.data import dates, shakespeare, standard_library
from companion.language.ngrams import encode
from companion.validate import Count, checked

SOURCES = ("Shakespeare", "Python", "dates")
PIECE = 480
"""Characters of one source before the next."""


@dataclass(frozen=True)
class Mixture:
    """A text and, for each character, its source.

    Attributes:
        ids: the characters' numbers in `alphabet`.
        source: the number of each one's source in `SOURCES`.
    """

    ids: Int[Tensor, "characters"]
    source: Int[Tensor, "characters"]

    def passages(self, length: int) -> tuple[Int[Tensor, "n length"], Int[Tensor, "n"]]:
        """The text in passages side by side, those alone that lie within one source, and the source of each."""
        ids, source = (part.unfold(0, length, length) for part in (self.ids, self.source))
        pure = (source == source[:, :1]).all(1)
        return ids[pure], source[pure, 0]


@lru_cache(maxsize=1)
def alphabet() -> str:
    """What any of the three may hold: printable ASCII, the end of a line, and the letters of the dates' languages."""
    plain = set(string.ascii_letters + string.digits + string.punctuation + " \n")
    return "".join(sorted(plain.union(*dates("train", limit=2_000).inputs)))


@checked
def mixture(split: Literal["train", "valid", "test"], pieces: Count) -> Mixture:
    """So many pieces of each source, in turns.

    Args:
        split: whole plays, whole packages and days that are in no other split.
        pieces: of each source.

    Raises:
        ValueError: more than there are.
    """
    size, known = pieces * PIECE, set(alphabet())
    days = dates(split, limit=size // 25 + 1)  # no line is shorter than 25 characters
    texts = (
        shakespeare(split, limit=2 * size).text,
        standard_library(split).text[: 2 * size],
        "".join(f"{written} = {iso}\n" for written, iso in zip(days.inputs, days.targets, strict=True)),
    )
    texts = ["".join(c for c in text if c in known)[:size] for text in texts]
    if min(map(len, texts)) < size:
        raise ValueError(f"pieces: got {pieces}, wanted at most {min(map(len, texts)) // PIECE} in {split}")
    each = torch.stack([encode(text, alphabet()) for text in texts])
    source = torch.arange(len(SOURCES))[:, None].expand_as(each)
    ids, source = (part.reshape(len(SOURCES), pieces, PIECE).transpose(0, 1).flatten() for part in (each, source))
    return Mixture(ids, source)
