"""Captions as numbers: each word of the little language "a three moves right" by its place in a list."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from companion.data.moving_digits import DIGIT_NAMES, DIRECTIONS

WORDS = ("<nothing>", "a", *DIGIT_NAMES, "moves", *DIRECTIONS)
LENGTH = 4  # words in a caption
NOTHING = 0  # stands in every place of the empty caption


def encode_captions(captions: Sequence[str]) -> Int[Tensor, "n 4"]:
    """Word numbers, one row for each caption; the empty caption "" is all `NOTHING`, and "an" is the same word as "a".

    Raises:
        ValueError: a word that is not in `WORDS`, or a caption of another length.
    """
    rows = []
    for caption in captions:
        words = ["a" if word == "an" else word for word in caption.split()]
        unknown = [word for word in words if word not in WORDS[1:]]
        if unknown or len(words) not in (0, LENGTH):
            raise ValueError(f"caption: got {caption!r}, wanted something like 'a three moves right', or ''")
        rows.append([WORDS.index(word) for word in words] or [NOTHING] * LENGTH)
    return torch.tensor(rows, dtype=torch.long).reshape(-1, LENGTH)
