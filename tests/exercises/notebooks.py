"""The assignments, found by glob, and what can be read out of their notebooks."""

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "book/exercises").glob("*/*.ipynb"))
_REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.S)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def graded(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that carry points."""
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]


@cache
def functions(path: Path) -> dict[str, Callable[..., Any]]:
    """The functions that a notebook defines: its imports and definitions are run, and nothing else of it."""
    space: dict[str, Any] = {}
    for cell in read(path).cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            tree.body = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom, ast.FunctionDef))]
            exec(compile(tree, f"<{cell.metadata.get('nbgrader', {}).get('grade_id', 'cell')}>", "exec"), space)
    return {name: value for name, value in space.items() if getattr(value, "__globals__", None) is space}


@cache
def secrets(path: Path) -> list[str]:
    """Every line of a solution or hidden test, without white space, that is long enough to be nobody else's line."""
    regions = [part for cell in read(path).cells for _, part in _REGION.findall(cell.source)]
    squeezed = ("".join(line.split()) for part in regions for line in part.splitlines())
    return sorted({line for line in squeezed if len(line) >= 25 and not line.startswith("from")})
