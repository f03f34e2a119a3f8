r"""A dictionary made of translated texts, and a translation word by word: what a translator has to beat.

Two words belong together if they stand in the same pairs of texts and seldom elsewhere. With n(e) the number of English texts
that hold e, n(f) that of French ones, and n(e, f) that of pairs with both, the dictionary gives each e the f of the largest

    D(e, f) = 2 n(e, f) / (n(e) + n(f))                                                       (eq-t5-dice)

Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945; for words see Melamed, "Models of
translational equivalence among words", Computational Linguistics 26(2), 2000.
"""

from collections import Counter
from collections.abc import Iterable

import regex

_WORD = regex.compile(r"\p{L}+|[^\p{L}]+")  # letters, or what lies between them


class Dictionary:
    """Word by word, learned from pairs of texts (eq-t5-dice).

    Args:
        pairs: a text and its translation each.

    Attributes:
        words: for each word, in lower case, its translation.

    Raises:
        ValueError: no pairs.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        alone, other, both = Counter(), Counter(), Counter()
        for text, translation in pairs:
            here, there = _words(text), _words(translation)
            alone.update(here)
            other.update(there)
            both.update((e, f) for e in here for f in there)
        if not alone:
            raise ValueError("pairs: got none with words, wanted at least one")
        best: dict[str, tuple[float, int, str]] = {}
        for (e, f), n in sorted(both.items()):
            best[e] = max(best.get(e, (0.0, 0, "")), (2 * n / (alone[e] + other[f]), n, f))
        self.words = {e: f for e, (_, _, f) in best.items()}

    def translate(self, text: str) -> str:
        """Each known word by its translation, in the case of the first letter; all else as it is."""
        return "".join(self._one(piece) for piece in _WORD.findall(text))

    def _one(self, piece: str) -> str:
        found = self.words.get(piece.lower(), piece)
        return found[:1].upper() + found[1:] if piece[:1].isupper() else found


def _words(text: str) -> set[str]:
    return {piece for piece in _WORD.findall(text.lower()) if piece[0].isalpha()}
