"""Demonstrations for supervised fine-tuning: short exchanges out of long conversations, one of the two as the assistant.

Each is a few turns that follow each other; the first is the user's. Long turns are left out, and so is what the writers said about
the page on which they chatted. The objective is `companion.text.reasoning.tasks.answer_loss`: the mean over the tokens of the
assistant's turns alone.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from companion.data.chats import Chat
from companion.language.tokenizers import ByteLevelBPE
from companion.text.chat.template import END, templated
from companion.validate import Count, Range, checked

_ABOUT_THE_PAGE = re.compile(r"\b(?:bots?|prompts?|points?|chat\w*|raffle|disconnect\w*|competition|\[\w+\])\b", re.I)


@checked
def exchanges(
    talks: Sequence[Chat], *, turns: Annotated[int, Range(2)] = 4, words: Count = 16
) -> Iterator[tuple[str, ...]]:
    """All runs of so many turns of at most so many words, none about the page; runs may overlap."""
    for chat in talks:
        fits = [0 < len(turn.split()) <= words and not _ABOUT_THE_PAGE.search(turn) for turn in chat.turns]
        for first in range(len(fits) - turns + 1):
            if all(fits[first : first + turns]):
                yield chat.turns[first : first + turns]


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
    mask = torch.zeros(len(runs), length, dtype=torch.bool)
    for row, run in enumerate(runs):
        said, learned = templated(run, tokenizer)
        ids[row, : len(said)] = torch.tensor(said[:length])
        mask[row, : len(said)] = torch.tensor(learned[:length])
    return ids, mask

