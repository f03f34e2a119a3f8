"""Demonstrations for supervised fine-tuning: short exchanges out of long conversations, one of the two as the assistant.

Each is a few turns that follow each other; the first is the user's. Long turns are left out, and so are rare words and what
the writers said about the page on which they chatted. The objective is `companion.text.reasoning.tasks.answer_loss`: the mean
over the tokens of the assistant's turns alone.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from companion.data.chats import Chat
from companion.language.tokenizers import ByteLevelBPE
from companion.text.chat.template import ASSISTANT, END, USER, plain, spoken, templated
from companion.validate import Count, Range, checked

_WORD = re.compile(r"[a-z']+")
_PAGE = re.compile(
    r"\b(?:bots?|prompts?|points?|chat\w*|raffle|disconnect\w*|competition|computers?|test|eve)\b|\[\w+\]"
)


def frequent_words(talks: Sequence[Chat], count: Count) -> frozenset[str]:
    """The words that most conversations use."""
    counts: Counter[str] = Counter()
    for chat in talks:
        counts.update(set(_WORD.findall(plain(" ".join(chat.turns)))))
    return frozenset(word for word, _ in counts.most_common(count))


@checked
def exchanges(
    talks: Sequence[Chat], known: frozenset[str], *, turns: Annotated[int, Range(2)] = 2, words: Count = 14
) -> list[tuple[str, ...]]:
    """All runs of so many turns of at most so many words, none rare and none about the page; runs may overlap.

    Args:
        talks: to choose from.
        known: the words that may occur, of `frequent_words`.
        turns: of each run.
        words: of each turn, at most.
    """

    def fits(turn: str) -> bool:
        text = plain(turn)
        return 0 < len(text.split()) <= words and not _PAGE.search(text) and known.issuperset(_WORD.findall(text))

    found = []
    for chat in talks:
        good = [fits(turn) for turn in chat.turns]
        found += [
            chat.turns[first : first + turns]
            for first in range(len(good) - turns + 1)
            if all(good[first : first + turns])
        ]
    return found


@checked
def demonstrations(
    runs: Sequence[tuple[str, ...]], tokenizer: ByteLevelBPE, length: Count
) -> tuple[Int[Tensor, "n length"], Bool[Tensor, "n length"]]:
    """Exchanges in the template, cut or filled up to one length, and True at the tokens of the assistant.

    What fills them up is the end sign, which does not count.

    Args:
        runs: turns of user and assistant.
        tokenizer: with the template's tokens.
        length: tokens of each.
    """
    ids = torch.full((len(runs), length), tokenizer.special[END])
    real = torch.zeros(len(runs), length, dtype=torch.bool)
    for row, run in enumerate(runs):
        said = templated(run, tokenizer)[:length]
        ids[row, : len(said)] = torch.tensor(said)
        real[row, : len(said)] = True
    return ids, real & spoken(ids, tokenizer.special[USER], tokenizer.special[ASSISTANT])
