"""The checks of exercise 3.4.1: one step in which byte-pair encoding learns.

The pairs are counted anew here, word by word, and the words are small enough to be merged by hand. Ids such as I35 are those of
the course's list of known mistakes.
"""

from collections import Counter
from itertools import pairwise
from string import ascii_lowercase
from typing import Any

import torch
from torch import Generator

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, same

Words = list[list[str]]


def _letters(g: Generator, count: int) -> list[str]:
    return [ascii_lowercase[int(i)] for i in torch.randperm(26, generator=g)[:count]]


def _merged(answer: Answer, words: Words, counts: list[int]) -> tuple[Any, Any]:
    result = answer(words, counts)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong(f"got {str(result)[:60]}, wanted a pair of symbols and the new words")
    pair, merged = result
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise Wrong(f"got the pair {str(pair)[:40]}, wanted two symbols")
    if not isinstance(merged, (tuple, list)) or not all(isinstance(word, (tuple, list)) for word in merged):
        raise Wrong(f"got the words {str(merged)[:40]}, wanted a list of symbols for each word")
    return tuple(pair), [list(word) for word in merged]


def _frequency(words: Words, counts: list[int]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for word, times in zip(words, counts, strict=True):
        for both in pairwise(word):
            found[both] += times
    return found


def _pair(answer: Answer, g: Generator) -> str:
    alphabet, said = _letters(g, 5), ""
    for _ in range(5):
        while True:
            lengths = (3 + torch.randint(4, (8,), generator=g)).tolist()
            words = [[alphabet[int(i)] for i in torch.randint(5, (n,), generator=g)] for n in lengths]
            counts = (1 + torch.randint(30, (8,), generator=g)).tolist()
            once = _frequency(words, [1] * 8).most_common(2)
            (best, most), (_, second) = _frequency(words, counts).most_common(2)
            joined = [symbol for word in words for symbol in word]
            across = Counter(pairwise(joined)).most_common(2)
            unique = most > second and once[0][1] > once[1][1] and across[0][1] > across[1][1]
            if unique and len({best, once[0][0], across[0][0]}) == 3:
                break
        mistakes = {
            "the words' counts are ignored": once[0][0],
            "pairs are counted across the border between two words": across[0][0],
            "the rarest pair": _frequency(words, counts).most_common()[-1][0],
        }
        said = same(_merged(answer, words, counts)[0], best, mistakes)
    return said


def _ties(answer: Answer, g: Generator) -> str:
    said = ""
    for _ in range(3):
        low, high, tail = sorted(_letters(g, 3))
        words, times = [[high, tail], [low, tail], [tail, low]], int(2 + torch.randint(9, (), generator=g))
        got, _ = _merged(answer, words, [times] * 3)
        mistakes = {"the pair that was seen first": (high, tail), "the last of the alphabet": (tail, low)}
        said = same(got, (low, tail), mistakes)
    return said


def _overlap(answer: Answer, g: Generator) -> str:
    a, b, c = _letters(g, 3)
    words = [[a] * 5 + [b], [c, b], [b, *[a] * 4]]
    _, got = _merged(answer, words, [9, 1, 5])
    aa = a + a
    mistakes = {
        "merged from the right": [[a, aa, aa, b], [c, b], [b, aa, aa]],
        "a symbol is used in two merges": [[aa] * 4 + [b], [c, b], [b, *[aa] * 3]],
        "the first pair of a word alone is merged": [[aa, a, a, a, b], [c, b], [b, aa, a, a]],
        "nothing is merged": words,
    }
    return same(got, [[aa, aa, a, b], [c, b], [b, aa, aa]], mistakes)


def _symbols(answer: Answer, g: Generator) -> str:
    a, b, c, d = _letters(g, 4)
    words = [[a, b + c, d], [a + b, c, d], [d, a, b + c]]
    _, got = _merged(answer, words, [8, 1, 7])
    whole = a + b + c
    mistakes = {
        "the text is searched, not the symbols (I35)": [[whole, d], [whole, d], [d, whole]],
        "nothing is merged": words,
    }
    return same(got, [[whole, d], [a + b, c, d], [d, whole]], mistakes)


EXERCISES = (
    Exercise(
        "3.4.1",
        "merge_step(words, counts)",
        (
            Property("the pair that is merged", 5, _pair),
            Property("pairs that are equally frequent", 3, _ties),
            Property("a pair that overlaps itself", 4, _overlap),
            Property("symbols longer than one letter", 4, _symbols),
        ),
    ),
)
