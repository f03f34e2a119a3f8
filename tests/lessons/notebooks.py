"""Which notebooks are lessons, and how their cells and claims are read."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
_NOT_LESSONS = {"exercises", "assignments", ".ipynb_checkpoints"}
# Before the imports of each lesson: in Colab there is no course yet.
COLAB = """\
# In Colab the course is installed first; elsewhere this does nothing.
import subprocess
import sys

COURSE = "https://github.com/generative-ai-you-can-run/course"
if "google.colab" in sys.modules:
    extras = "data,speech,carbon,scores"
    package = f"generative-ai-companion[{extras}] @ git+{COURSE}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", package]
    subprocess.run(pip, check=True)"""
_CLAIM = re.compile(r"^(?P<mark>[✓–]) Claim (?P<id>[\w.-]+): (?P<text>.*)$", re.S)


def lessons(only: str = "") -> list[Path]:
    """Every notebook of the book except the exercises, found by glob; only those whose name contains ``only``."""
    found = [p for p in BOOK.rglob("*.ipynb") if not _NOT_LESSONS & set(p.relative_to(BOOK).parts)]
    found.sort(key=name)
    chosen = [p for p in found if only in name(p)]
    if not chosen:
        raise SystemExit(f"no lesson matches {only!r}; there are: {', '.join(map(name, found)) or 'none'}")
    return chosen


def name(path: Path) -> str:
    """The notebook's path below ``book/``, without the ending: ``3_03_foundations/attention``."""
    return path.relative_to(BOOK).with_suffix("").as_posix()


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Those of the lesson: without the one that stands in for an installation, which no page shows."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and "remove-cell" not in tags(cell)]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def claims(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, bool, str]]:
    """The claims in the stored outputs: id, judged and held (or not judged), text."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            found = _CLAIM.match(output.get("data", {}).get("text/plain", ""))
            if found:
                yield found["id"], found["mark"] == "✓", found["text"]
