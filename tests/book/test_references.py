"""The bibliography: every entry is cited, says who wrote it and when, and where to find it."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.lessons.notebooks import BOOK, ROOT

ENTRIES = {
    entry[1]: entry[0]
    for entry in re.finditer(
        r"^@\w+\{([^,\s]+),.*?^\}", (BOOK / "references.bib").read_text(encoding="utf-8"), re.M | re.S
    )
}
# Submitted on 31 December 2023, and numbered in January.
NUMBERED_LATER = {"sardana2023beyond"}


def field(entry: str, name: str) -> str | None:
    found = re.search(rf"^\s*{name}\s*=\s*\{{(.*)\}},?\s*$", entry, re.M | re.I)
    return found and found[1]


@cache
def pages() -> str:
    """All that can cite: the pages of the book, and the package's data, which names its sources by their keys."""
    found = [*BOOK.rglob("*.ipynb"), *BOOK.rglob("*.md"), *(ROOT / "companion").rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in found if "assignments" not in path.parts)


def cited(text: str) -> set[str]:
    """The keys in ``{cite:p}`a,b``` and ``{cite:t}`a```."""
    return {key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in keys.split(",")}


def test_every_citation_has_its_entry() -> None:
    assert cited(pages()) <= set(ENTRIES)


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_is_cited_and_has_authors_a_year_and_a_link(key: str) -> None:
    entry = ENTRIES[key]
    assert key in cited(pages()) or f'"{key}"' in pages(), "nothing cites it"
    assert field(entry, "author") and not re.search(r"\bothers\b", field(entry, "author")), "who wrote it?"
    assert re.fullmatch(r"\d{4}", field(entry, "year"))
    assert field(entry, "doi") or re.match(r"https?://", field(entry, "url") or ""), "where is it to be found?"
    number = field(entry, "eprint")
    if number and key not in NUMBERED_LATER:
        assert field(entry, "year") == f"20{number[:2]}", "the year of arXiv's first version"


def test_keys_are_unique() -> None:
    keys = re.findall(r"^@\w+\{([^,\s]+)", Path(BOOK / "references.bib").read_text(encoding="utf-8"), re.M)
    assert len(keys) == len(set(keys)) == len(ENTRIES)
