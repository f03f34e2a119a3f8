"""The prose of this book's lessons as it stood when the lesson on agents was written: passages, and questions about them.

The snapshot lies in the package and is frozen: a book that changes does not change what is measured on it. Passages
are the running text of the lessons without formulas on lines of their own, code, exercises and summaries, cut into 60
to 150 words where a section is long. Questions are of three kinds: the caption of each figure and the sentence of
each claim, which are answered by the passages that stand before and after them, and some questions that were thought
up in other words than the pages' (``asked``), whose passages were chosen by hand. A passage that stands elsewhere and
answers as well is not counted. `tests.book.snapshot` makes the file.
"""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from companion.data.carriers import check_digest, digest
from companion.data.sets import DataSet
from companion.validate import check_choice

FILE = Path(__file__).with_name("book_pages.json.gz")
SHA256 = "4f4d40ec7da808461c68cd49e99f25085ec54413bfe7516e01bec0dcbf068807"
TEST = (
    "3_01_overview/memorization", "3_03_foundations/attention", "3_04_text/decoding", "3_04_text/grok", "3_06_image/ddpm",
    "3_08_scaling/laws", "3_09_ethics/watermark",
)  # fmt: skip
VALID = (
    "3_01_overview/discriminative", "3_02_history/timeline", "3_03_foundations/losses", "3_04_text/gpt", "3_07_video/sora",
    "3_09_ethics/bias",
)  # fmt: skip
SPLITS = ("all", "train", "valid", "test")


@dataclass(frozen=True)
class Passage:
    """A piece of a page.

    Attributes:
        lesson: the page's name, ``"3_04_text/gpt"``.
        title: the page's.
        section: its heading; empty above the first.
        text: without markup.
    """

    lesson: str
    title: str
    section: str
    text: str

    @property
    def place(self) -> str:
        """Where to look it up: the page's title and the section's."""
        return f"{self.title} § {self.section}" if self.section else self.title


@dataclass(frozen=True)
class Question:
    """A question about a page.

    Attributes:
        lesson: the page's name.
        kind: ``"caption"``, ``"claim"`` or ``"asked"``.
        text: what is asked.
        beside: the numbers of the passages that answer it.
    """

    lesson: str
    kind: str
    text: str
    beside: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BookPages(DataSet):
    """All passages, and the questions about a split's pages."""

    passages: tuple[Passage, ...]
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return (
            f"{self.name}, {self.split}: {len(self.passages)} passages, {len(self.questions)} questions "
            f"({self.license}; {self.source})"
        )


@cache
def book_pages(split: str = "all") -> BookPages:
    """The snapshot, with the questions of some pages.

    Args:
        split: ``"train"``, ``"valid"`` or ``"test"``, which share no page, or ``"all"``. Passages are always all.

    Raises:
        ValueError: an unknown split.
        CorruptFile: the file is not the one that the lesson was written with.
    """
    check_choice("split", split, SPLITS)
    check_digest(str(FILE), digest(str(FILE), FILE.stat().st_mtime_ns), SHA256, "generative-ai-companion")
    data = json.loads(gzip.decompress(FILE.read_bytes()))
    questions = (Question(q["lesson"], q["kind"], q["text"], tuple(q["beside"])) for q in data["questions"])
    return BookPages(
        name="book_pages",
        split=split,
        license="CC BY 4.0",
        source="the lessons of this book, November 2026",
        passages=tuple(Passage(**passage) for passage in data["passages"]),
        questions=tuple(q for q in questions if split in ("all", split_of(q.lesson))),
    )


def split_of(lesson: str) -> str:
    """Which split a page's questions belong to."""
    return "test" if lesson in TEST else "valid" if lesson in VALID else "train"
