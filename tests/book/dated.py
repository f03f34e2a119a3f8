"""The book's statements that age: ``book/dated.toml``, and the block of each page that shows them.

``python -m tests.book.dated`` (`make dated`) writes the statements into the pages and lists those checked longest ago first. A
block is ordinary MyST in a markdown cell, so it reads well in JupyterLab without a network, and no lesson has to be run again.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.lessons.notebooks import BOOK

STATEMENTS = BOOK / "dated.toml"
HEAD = ":::{admonition} What ages\n:class: dated\n"
BLOCK = re.compile(re.escape(HEAD) + r".*?^:::$", re.M | re.S)


@dataclass(frozen=True)
class Statement:
    """One statement, true on a day, by its sources.

    Attributes:
        id: its name in the file.
        pages: the notebooks that show it, as paths below ``book/`` without the ending.
        statement: in MyST, without citations and date.
        as_of: the day of which the sources speak.
        checked: the day on which somebody last held it against them.
        sources: keys of ``book/references.bib``.

    Raises:
        TypeError: a field is missing or unknown.
        ValueError: a field is empty.
    """

    id: str
    pages: tuple[str, ...]
    statement: str
    as_of: date
    checked: date
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        for field in ("pages", "statement", "as_of", "checked", "sources"):
            if not getattr(self, field):
                raise ValueError(f"{self.id}: got no {field}, wanted some")

    def __str__(self) -> str:
        return f"- *{self.as_of.day} {self.as_of:%B %Y}.* {self.statement} {{cite:p}}`{','.join(self.sources)}`"


def read(file: Path = STATEMENTS) -> list[Statement]:
    """The statements in the order of the file."""
    return [
        Statement(id=id, **{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
        for id, row in tomllib.loads(file.read_text(encoding="utf-8")).items()
    ]


def block(page: str, statements: list[Statement]) -> str:
    """The text of a page's block."""
    return "\n".join([HEAD, *(str(one) for one in statements if page in one.pages), ":::"])


def write(notebook: Path, text: str) -> None:
    """Put the text in the place of a notebook's one block.

    Raises:
        ValueError: the notebook has no block, or several.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if BLOCK.search("".join(cell["source"]))]
    if len(cells) != 1:
        raise ValueError(f"{notebook}: got {len(cells)} cells with a block “What ages”, wanted one")
    source = BLOCK.sub(lambda _: text, "".join(cells[0]["source"]), count=1)
    if source != "".join(cells[0]["source"]):
        cells[0]["source"] = source.splitlines(keepends=True)
        notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Write every page, and list the statements: longest unchecked first."""
    statements = read()
    for page in sorted({page for one in statements for page in one.pages}):
        write(BOOK / f"{page}.ipynb", block(page, statements))
    for one in sorted(statements, key=lambda one: (one.checked, one.id)):
        print(f"{one.checked}  {one.id:<22} {', '.join(one.pages)}")


if __name__ == "__main__":
    main()
