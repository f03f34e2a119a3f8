"""What an encoder practises on: pairs of a text and its passage; and questions with misspelled words, to try it.

Questions about pages come with their passages. Where nobody has asked, a page asks itself: each sentence is paired
with what is left of its passage without it, and each heading with the passage below. The first is the inverse cloze
task of Lee et al., "Latent Retrieval for Weakly Supervised Open Domain Question Answering", 2019, arXiv:1906.00300.
"""

import re
from collections.abc import Sequence

from torch import Generator

from companion.data.book_pages import Passage, Question
from companion.training.random import randint

Pair = tuple[str, str, int]  # a text, its passage, the passage's number
SHORTEST = 6  # words of a sentence that asks


def question_pairs(questions: Sequence[Question], passages: Sequence[Passage]) -> list[Pair]:
    """Each question with each of the passages that answer it."""
    return [(question.text, passages[i].text, i) for question in questions for i in question.beside]


def sentence_pairs(passages: Sequence[Passage], numbers: Sequence[int]) -> list[Pair]:
    """Of these passages: each sentence with the rest, and each heading with the passage."""
    found = []
    for i in numbers:
        text = passages[i].text
        sentences = [s for s in re.split(r"(?<=[.?!:])\s+", text) if len(s.split()) >= SHORTEST]
        if len(sentences) > 1:
            found += [(sentence, " ".join(text.replace(sentence, " ").split()), i) for sentence in sentences]
        found.append((passages[i].place, text, i))
    return found


def misspelled(text: str, generator: Generator) -> str:
    """In each word of at least four signs two neighbours, neither the first nor the last, change places."""
    found = []
    for word in text.split():
        if len(word) >= 4:
            i = 1 + int(randint(len(word) - 3, (1,), generator)) if len(word) > 4 else 1
            word = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        found.append(word)
    return " ".join(found)
