"""Four tasks as text to text: what is to be done stands in front, and the rest is the same for all of them.

Raffel et al. 2019, arXiv:1910.10683, section 2.4 and appendix D. A source is a *prefix* and a text, a target is a text, and
both end with the end token:

    number to French: 71  →  soixante et onze
    date to German: March 9, 1987  →  9. März 1987
    English to French: Main Menu  →  Menu principal
    summarize: rename(target). Returns the new …  →  Rename this path to the target path.

`vocabulary` learns the tokens: bytes, merges, the pad and the end token, and the sentinels of
`companion.text.t5.span_corruption` as the last numbers. Digits are never joined, so a number is read digit by digit.
"""

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from companion.data.catalogues import catalogues
from companion.data.dates import dates, write_date
from companion.data.docstrings import docstring_paragraphs, docstrings
from companion.data.number_words import NUMBER_LANGUAGES, number_words, write_number
from companion.language.tokenizers import ByteLevelBPE
from companion.text.t5.text_to_text import padded
from companion.text.tokenizer import train_bpe
from companion.validate import Count, check_choice, checked

NAMES = dict(zip(NUMBER_LANGUAGES, ("English", "German", "French", "Spanish"), strict=True))
TASKS = ("numbers", "dates", "catalogue", "summaries")
SENTINELS = 32
PAD_NAME, END_NAME = "<pad>", "</s>"


@dataclass(frozen=True)
class Example:
    """A task's input and the wanted answer.

    Attributes:
        prefix: what is to be done, ``"number to French: "``.
        text: to what.
        target: the answer.
    """

    prefix: str
    text: str
    target: str

    @property
    def source(self) -> str:
        """What the encoder reads."""
        return self.prefix + self.text


@checked
def examples(
    task: str, split: str = "train", *, limit: Count | None = None, all_languages: bool = False
) -> list[Example]:
    """Examples of one task.

    Args:
        task: one of `TASKS`.
        split: ``"train"``, ``"valid"`` or ``"test"``. No number, day, message or module is in two of them.
        limit: at most so many inputs.
        all_languages: each number and each day into every language, not into one that follows from it.

    Raises:
        ValueError: an unknown task or split.
        MissingCarrier: the package that carries the task's texts is not installed.
    """
    check_choice("task", task, TASKS)
    if task == "catalogue":
        return [Example("English to French: ", a, b) for a, b in catalogues(split, limit=limit)]
    if task == "summaries":
        return [Example("summarize: ", a, b) for a, b in docstrings(split, described=split != "train", limit=limit)]
    found = []
    if task == "numbers":
        for digits in number_words(split, limit=limit).inputs:
            for language in _wanted(digits, all_languages):
                found.append(Example(f"number to {NAMES[language]}: ", digits, write_number(int(digits), language)))
        return found
    for written, iso in dates(split, limit=limit):
        for language in _wanted(iso, all_languages):
            day = write_date(datetime.date.fromisoformat(iso), language)[0]
            found.append(Example(f"date to {NAMES[language]}: ", written, day))
    return found


@checked
def plain_texts(*, limit: Count | None = None) -> dict[str, list[str]]:
    """What the training data hold as plain text, task by task: no prefix, no digits beside their words, no pairs.

    Each line stands alone: a number in words of one language, a date as it was written or as it is wanted, a message in
    English or in French, a paragraph of a docstring. Nothing says which lines belong together.

    Args:
        limit: at most so many inputs of each task.

    Raises:
        MissingCarrier: the package that carries a task's texts is not installed.
    """
    found = {task: examples(task, limit=limit, all_languages=True) for task in TASKS[:-1]}
    lines = {task: [e.target for e in some] for task, some in found.items()}
    for task in ("dates", "catalogue"):
        lines[task] += dict.fromkeys(e.text for e in found[task])
    return lines | {"summaries": [*docstring_paragraphs("train", limit=limit)]}


def vocabulary(texts: Sequence[str], vocab_size: int) -> ByteLevelBPE:
    """Tokens learned from texts, their digits left out; the last 32 are sentinels, the very last of them sentinel 0."""
    sentinels = tuple(f"<{i}>" for i in reversed(range(SENTINELS)))
    return train_bpe(re.sub(r"\d", "", "\n".join(texts)), vocab_size, special=(PAD_NAME, END_NAME, *sentinels))


def encoded(texts: Sequence[str], tokens: ByteLevelBPE) -> Int[Tensor, "n longest"]:
    """Texts as rows of numbers, each with the end token, padded at the end."""
    end = tokens.special[END_NAME]
    return padded([[*tokens.encode(text), end] for text in texts], pad=tokens.special[PAD_NAME])


def _wanted(key: str, all_languages: bool) -> tuple[str, ...]:
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=b"wanted").digest(), "big")
    return NUMBER_LANGUAGES if all_languages else (NUMBER_LANGUAGES[number % len(NUMBER_LANGUAGES)],)
