"""Captions of a small closed language as numbers, a word each, between a start and an end as CLIP's text tower wants them.

    0 is padding, 1 the start, 2 to V - 2 the words in alphabetical order, V - 1 the end

The end has the highest number, so CLIP's older rule for where to pool, the place of the highest number, finds it as well
(`companion.image.clip.towers`). A word that is not in the list is an error: in a closed language it is a slip.
"""

from collections.abc import Collection, Iterable, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from companion.validate import check_count

PAD, START = 0, 1


class WordTokenizer:
    """Texts to rows of word numbers, and back.

    Args:
        words: all there are.
        length: of a row, start and end included.

    Attributes:
        words: in the order of their numbers, from 2 on.
        length: of a row.
        end: the number of the end.
        vocab_size: how many numbers there are.

    Raises:
        ValueError: no words, or some with blanks in them; a length below 3.
    """

    def __init__(self, words: Collection[str], length: int) -> None:
        check_count("length", length, low=3)
        self.words, self.length = tuple(sorted(set(words))), length
        odd = [word for word in self.words if word.split() != [word]]
        if odd or not self.words:
            raise ValueError(f"words: got {odd[0]!r}, wanted single words" if odd else "words: got none, wanted some")
        self.end = len(self.words) + 2
        self.vocab_size = self.end + 1
        self._number = {word: i for i, word in enumerate(self.words, 2)}

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "n length"]:
        """Start, words, end, then padding, one row for each text; the empty text is start and end.

        Raises:
            ValueError: one string in place of a list, an unknown word, or a text that is too long.
        """
        if isinstance(texts, str):
            raise ValueError(f"texts: got one text, {texts!r}, wanted a list of texts")
        rows = torch.full((len(texts), self.length), PAD)
        for row, text in zip(rows, texts, strict=True):
            said = text.split()
            unknown = [word for word in said if word not in self._number]
            if unknown:
                raise ValueError(f"texts: got the word {unknown[0]!r} in {text!r}, wanted only words of `words`")
            if len(said) > self.length - 2:
                raise ValueError(f"texts: got {len(said)} words in {text!r}, wanted at most {self.length - 2}")
            numbers = [START, *(self._number[word] for word in said), self.end]
            row[: len(numbers)] = torch.tensor(numbers)
        return rows

    def decode(self, row: Iterable[int] | Tensor) -> str:
        """The words of one row up to its end.

        Raises:
            ValueError: a number that stands for nothing.
        """
        said = []
        for number in map(int, row):
            if not 0 <= number < self.vocab_size:
                raise ValueError(f"row: got the number {number}, wanted 0 to {self.vocab_size - 1}")
            if number == self.end:
                break
            if number > START:
                said.append(self.words[number - 2])
        return " ".join(said)

    def real(self, rows: Int[Tensor, "n length"]) -> Bool[Tensor, "n length"]:
        """True at start, words and end, False at padding: what may be looked at."""
        return rows != PAD
