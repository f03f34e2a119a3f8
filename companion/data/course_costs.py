"""What each lesson of this course was measured to cost: seconds, memory and claims, as its own table had them.

The course measures its lessons anew whenever they change (``book/measured.json``); this is the table as it stood when
the lesson on agents was written, frozen in the package, so that a lesson that changes does not change what is measured
on it. ``python -m tests.book.snapshot costs`` makes the file.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from companion.data.carriers import check_digest, digest

FILE = Path(__file__).with_name("course_costs.json")
SHA256 = "b4d741d71b5efe5a65e82cec7fa13e89adb6cc3676eb579c343206c947f5b02e"


@dataclass(frozen=True)
class Cost:
    """A lesson's costs, on the course's own machine and at the budget of a laptop.

    Attributes:
        lesson: its page, ``"text/gpt"``; a chapter's first page has the chapter's name alone, ``"text"``.
        seconds: of a whole run.
        memory_mb: the most memory that it held, in megabytes.
        claims: statements that the run checks.
    """

    lesson: str
    seconds: float
    memory_mb: int
    claims: int


@cache
def course_costs() -> tuple[Cost, ...]:
    """All lessons of the table, in the order of the book.

    Raises:
        CorruptFile: the file is not the one that the lesson was written with.
    """
    check_digest(str(FILE), digest(str(FILE), FILE.stat().st_mtime_ns), SHA256, "generative-ai-companion")
    return tuple(Cost(*row) for row in json.loads(FILE.read_text(encoding="utf-8"))["rows"])
