"""Conversations of two people, most of them rated: for models that talk, and that learn what people like.

In 2018 students chatted in pairs on a web page, often about a question that it gave, and rated how witty, upbeat and
interesting a conversation was, from 1 to 10. Each slider stood at 5: three fives are more than a third of the ratings,
and mean little. A conversation has one rating; the data do not say which of the two gave it.

What is left out: names and times of the senders, conversations in which one person waited for another in vain,
conversations of one letter again and again. E-mail addresses, web addresses that begin with http or www, names after an @
and long numbers are blacked out. That is a filter and no promise: web addresses without http and www, addresses that were
spelled out, names of accounts, some full names, opinions and the habits of their writers remain. Do not publish what a
model that was trained on them says about a person. One person may have written in several splits.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from companion.data.carriers import carrier_file
from companion.data.sets import DataSet
from companion.data.splits import split_indices
from companion.validate import Count, checked

_SHA256 = "d2a5d0bf6acf354fef51f3af39cbece2220d3b8f6086b658c3d335105798312a"
_PRIVATE = (
    (re.compile(r"\S*@\w\S*"), "[name]"),
    (re.compile(r"\b(?:https?://|www\.)\S+"), "[address]"),
    (re.compile(r"\d[\d .()-]{5,}\d"), "[number]"),
)
_SUSPECT = re.compile(r"[@\d]|http|www")  # one look instead of three: most messages have none
_WORD = re.compile(r"[^A-Za-z\s]*[A-Za-z][^A-Za-z\s]*[A-Za-z]\S*")  # of two letters and more
_KINDS = ("witty", "upbeat", "interesting")


@dataclass(frozen=True)
class Chat:
    """A conversation between two.

    Attributes:
        turns: what they wrote, in turn; each is one or more messages, and the first is by the one who began.
        rating: witty, upbeat, interesting, each from 1 to 10; None if it was not rated.
    """

    turns: tuple[str, ...]
    rating: tuple[int, int, int] | None

    @property
    def moved(self) -> bool:
        """Whether there is a rating and a slider was moved."""
        return self.rating is not None and self.rating != (5, 5, 5)


@dataclass(frozen=True, kw_only=True)
class ChatSet(DataSet):
    """Conversations."""

    chats: tuple[Chat, ...]

    def __len__(self) -> int:
        return len(self.chats)

    def __repr__(self) -> str:
        rated = sum(chat.moved for chat in self.chats)
        return (
            f"{self.name}, {self.split}: {len(self)} conversations of two, {rated} with a rating other than three "
            f"fives ({self.license}; {self.source})"
        )


@checked
def chats(split: Literal["train", "valid", "test", "all"] = "train", *, limit: Count | None = None) -> ChatSet:
    """About four thousand conversations between two people, in American English; a split holds whole conversations.

    Args:
        split: ``"train"`` (80 %), ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many.

    Raises:
        ValueError: an unknown split or a limit below 1.
        MissingCarrier: ``chitchat-dataset`` is not installed.
        CorruptFile: the file is not the known one.
    """
    everything = _all_chats()
    chosen = split_indices([chat.turns for chat in everything], split, limit=limit)
    return ChatSet(
        name="chats",
        split=split,
        license="MIT",
        source="the Chit Chat Challenge of Brigham Young University, from chitchat-dataset's dataset.json",
        chats=tuple(everything[i] for i in chosen),
    )


def anonymous(text: str) -> str:
    """A message with e-mail addresses, web addresses with http or www, names after an @ and long numbers blacked out."""
    if _SUSPECT.search(text):
        for pattern, instead in _PRIVATE:
            text = pattern.sub(instead, text)
    return " ".join(text.split())


def one_turn(messages: list[str]) -> str:
    """Several messages sent in a row as one text, with a full stop after each that has no mark at its end."""
    *before, last = messages
    return " ".join([*(text if text[-1] in ".,!?:;)-" else text + "." for text in before), last])


def is_writing(turns: tuple[str, ...]) -> bool:
    """Whether most words of a conversation are of two letters and more: not "a a a", "f" or "?"."""
    text = " ".join(turns)
    return 2 * len(_WORD.findall(text)) > len(text.split())


@lru_cache(maxsize=1)
def _all_chats() -> tuple[Chat, ...]:
    file = carrier_file("chitchat_dataset", "dataset.json", _SHA256, distribution="chitchat-dataset", extra="data")
    found = []
    for entry in json.loads(file.read_text(encoding="utf-8")).values():
        written = ([anonymous(message["text"]) for message in turn] for turn in entry["messages"])
        turns = tuple(one_turn(texts) for texts in ([t for t in turn if t] for turn in written) if texts)
        if len(turns) > 1 and is_writing(turns):
            rating = entry.get("ratings")
            found.append(Chat(turns, rating and tuple(rating[kind] for kind in _KINDS)))
    return tuple(found)
