"""Docstrings of the standard library: what a function is called and how it is described, and the line that sums it up."""

import ast
import hashlib
import platform
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from companion.data.code import standard_library
from companion.data.sets import PairSet
from companion.data.splits import SPLITS
from companion.validate import Count, check_choice, checked

_SHORTEST, _LONGEST = 10, 80  # characters of a summary
_LONGEST_INPUT = 240


@checked
def docstrings(
    split: Literal["train", "valid", "test", "all"] = "train",
    *,
    described: bool = True,
    limit: Count | None = None,
) -> PairSet:
    """The heads and descriptions of functions and classes with their summaries.

    ``rename(target). Returns the new Path instance pointing to the target path.`` → ``Rename this path to the target path.``
    The summary is the docstring's first paragraph, the description all that stands below; PEP 257 wants it so. The head is the
    name, with its arguments. A module falls into one split, by a hash of its name; what is summed up by a line that also
    stands in a module of an earlier split (train, valid, test) is left out. So are summaries of fewer than 10 or more than 80
    characters and texts of more than 240. The text is that of the running Python, so the set differs a little between versions.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        described: only those with a description below the summary; if not, also with a head alone.
        limit: at most so many.

    Raises:
        ValueError: an unknown split or a limit below 1.
    """
    check_choice("split", split, (*SPLITS, "all"))
    found = (one for part in (SPLITS if split == "all" else (split,)) for one in _summaries(part))
    chosen = [(text, summary) for text, summary, has_description in found if has_description or not described][:limit]
    return PairSet(
        name="docstrings",
        split=split,
        license="PSF-2.0",
        source=f"docstrings of the standard library, Python {platform.python_version()}",
        inputs=tuple(text for text, _ in chosen),
        targets=tuple(summary for _, summary in chosen),
    )


@checked
def docstring_paragraphs(
    split: Literal["train", "valid", "test"] = "train", *, limit: Count | None = None
) -> tuple[str, ...]:
    """The paragraphs of all docstrings of a split, each once and without what it belongs to: plain text to read.

    Summaries are among them, as paragraphs of their own; functions' heads are not. Paragraphs of fewer than 10 or more than 240
    characters are left out.

    Args:
        split: of the modules, as in `docstrings`; here a line may stand in two splits.
        limit: at most so many.

    Raises:
        ValueError: an unknown split or a limit below 1.
    """
    check_choice("split", split, SPLITS)
    library = standard_library("all")
    sources = (s for m, s in zip(library.modules, library.sources, strict=True) if _split_of(m) == split)
    docs = (doc for source in sources for _, doc in _documented(source))
    paragraphs = (" ".join(one.split()) for doc in docs for one in doc.split("\n\n"))
    found: dict[str, None] = {}
    for one in paragraphs:
        if _SHORTEST <= len(one) <= _LONGEST_INPUT:
            found[one] = None
        if len(found) == limit:
            break
    return tuple(found)


@lru_cache(maxsize=3)
def _summaries(split: str) -> tuple[tuple[str, str, bool], ...]:
    """Text, summary and whether there is a description, of the modules of one split."""
    library = standard_library("all")
    both = [*zip(map(_split_of, library.modules), library.sources, strict=True)]
    earlier = SPLITS[: SPLITS.index(split)]
    seen = {_bare(line) for part, source in both if part in earlier for line in source.splitlines()}
    found = {}
    for part, source in both:
        if part == split:
            for head, doc in _documented(source):
                first, _, rest = doc.partition("\n\n")
                summary, description = " ".join(first.split()), " ".join(rest.split())
                text = f"{head}. {description}".strip()
                short = _SHORTEST <= len(summary) <= _LONGEST and len(text) <= _LONGEST_INPUT
                if short and _bare(first.partition("\n")[0]) not in seen:
                    found.setdefault(summary, (text, summary, bool(description)))
    return tuple(found.values())


def _bare(line: str) -> str:
    """A line without blanks, quotes and a letter before them, in lower case."""
    return re.sub(r"""^[rRuU]?["']+""", "", line.strip()).rstrip("\"' ").lower()


def _documented(source: str) -> Iterator[tuple[str, str]]:
    """The head and the docstring of each function and class that has one."""
    for node in _statements(ast.parse(source)):
        documented = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if documented and (doc := (ast.get_docstring(node) or "").strip()):
            yield _head(node), doc


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements below a node, in the order of the text; expressions, which are most of a tree, are not entered."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _head(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        return node.name
    return f"{node.name}({', '.join(a.arg for a in node.args.args if a.arg not in ('self', 'cls'))})"


def _split_of(module: str) -> str:
    """A function of the module's name alone, so it is the same in every version of Python."""
    share = int.from_bytes(hashlib.blake2b(module.encode(), digest_size=8, key=b"docstrings").digest(), "big") / 2**64
    return "train" if share < 0.8 else "valid" if share < 0.9 else "test"
