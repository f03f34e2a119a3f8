"""Programs: the source of Python's own standard library, a package that it never saw, and the 164 tasks of HumanEval.

What can be the same on two machines, and what cannot. The standard library is that of the Python that runs, so its text
differs between 3.11.4 and 3.11.9, and a distributor may patch it. Hence nothing here rests on its bytes: a module's split
follows from its name alone, the same name falls into the same split on every version, and what is platform-dependent,
generated or packaged apart by distributors is left out. What did come out is named: `CodeSet.python` and `CodeSet.digest`.
Two runs are equal to the last digit only where both are. HumanEval and more-itertools are files of locked packages and are
held to their sha256.
"""

import ast
import gzip
import hashlib
import json
import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from companion.data.carriers import carrier_file
from companion.data.sets import DataSet
from companion.validate import Count, checked

# Tables, tests, programs with windows, what Debian and others ship apart or not at all, and copies of more-itertools.
# fmt: off
_LEFT_OUT = frozenset([
    "__phello__", "__pycache__", "_itertools", "antigravity", "dist-packages", "distutils", "encodings", "ensurepip",
    "idle_test", "idlelib", "lib2to3", "pydoc_data", "site-packages", "sre_compile", "sre_constants", "sre_parse", "test",
    "tests", "this", "tkinter", "turtle", "turtledemo", "venv",
])
# fmt: on
_HUMAN_EVAL = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
_MORE_ITERTOOLS = {
    "more.py": "1bdc5f323ea18906436a42268b942d5b4d15ac8b3ff17c1211a59fb192fa068e",
    "recipes.py": "468ab191bbb5fd62e8603d741e6983acdfa9d697d0ff9252b0c56ffdd24ca9bc",
}


@dataclass(frozen=True, kw_only=True)
class CodeSet(DataSet):
    """Source files.

    Attributes:
        modules: the dotted name of each file's module, ``"email.header"``.
        sources: the text of each file.
        python: the version of Python that they were found in.
    """

    modules: tuple[str, ...]
    sources: tuple[str, ...]
    python: str

    @property
    def text(self) -> str:
        """All files, one after the other."""
        return "\n\n".join(self.sources)

    @cached_property
    def digest(self) -> str:
        """The sha256 of names and texts: two sets with the same digest are the same."""
        total = hashlib.sha256()
        for module, source in zip(self.modules, self.sources, strict=True):
            total.update(module.encode() + b"\0" + source.encode() + b"\0")
        return total.hexdigest()

    def functions(self, limit: int | None = None) -> tuple[str, ...]:
        """The source of every function and method, in the order of the files, without its indentation."""
        found = (text for source in self.sources for text in _functions(source))
        return tuple(text for _, text in zip(range(limit), found, strict=False)) if limit else tuple(found)

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def __repr__(self) -> str:
        return (
            f"{self.name}, {self.split}: {len(self.modules)} files, {len(self):,} characters, Python {self.python} "
            f"({self.license}; {self.source})"
        )


@dataclass(frozen=True)
class CodeTask:
    """One programming task with a hidden test, in HumanEval's form.

    Attributes:
        name: ``"HumanEval/0"``.
        prompt: imports, the function's first line and its docstring; a completion goes on from here.
        entry_point: the function's name.
        solution: a right completion.
        test: defines ``check(candidate)``, which raises an error for a wrong function.
    """

    name: str
    prompt: str
    entry_point: str
    solution: str
    test: str

    def program(self, completion: str) -> str:
        """The whole program that decides whether a completion is right: it ends normally, or it is wrong."""
        return f"{self.prompt}{completion}\n\n{self.test}\n\ncheck({self.entry_point})\n"


@dataclass(frozen=True, kw_only=True)
class TaskSet(DataSet):
    """Programming tasks."""

    tasks: tuple[CodeTask, ...]

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[CodeTask]:
        return iter(self.tasks)

    def __repr__(self) -> str:
        return f"{self.name}, {self.split}: {len(self)} programming tasks ({self.license}; {self.source})"


@checked
def standard_library(
    split: Literal["train", "valid", "test", "all"] = "train", *, limit: Count | None = None
) -> CodeSet:
    """The pure-Python modules of the standard library of the Python that runs this, about seven million characters.

    A package and all its files fall into one split, by a hash of the package's name: about 80 % are for training, 10 % for
    validation, 10 % for the test. Files that are not plain ASCII are left out.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many files, the first by name.

    Raises:
        ValueError: an unknown split or a limit below 1.
    """
    files = [file for file in _library() if split in ("all", split_of(file[0]))][:limit]
    return CodeSet(
        name="standard_library",
        split=split,
        license="PSF-2.0",
        source="the standard library of the running Python, Lib/**/*.py",
        modules=tuple(module for module, _ in files),
        sources=tuple(text for _, text in files),
        python=platform.python_version(),
    )


def more_itertools() -> CodeSet:
    """The package more-itertools: 200 functions that belong to no split of the standard library; held out always.

    Raises:
        MissingCarrier: ``more-itertools`` is not installed.
        CorruptFile: its files are not the known ones.
    """
    texts = {
        name.removesuffix(".py"): carrier_file(
            "more_itertools", name, sha256, distribution="more-itertools", extra="data"
        ).read_text(encoding="utf-8")
        for name, sha256 in _MORE_ITERTOOLS.items()
    }
    return CodeSet(
        name="more_itertools",
        split="test",
        license="MIT",
        source="more-itertools' more.py and recipes.py",
        modules=tuple(f"more_itertools.{name}" for name in texts),
        sources=tuple(texts.values()),
        python=platform.python_version(),
    )


def human_eval() -> TaskSet:
    """HumanEval: 164 programming tasks written by hand, for tests only. The package's own runner is not used.

    Source: Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374.

    Raises:
        MissingCarrier: ``human-eval`` is not installed.
        CorruptFile: its file is not the known one.
    """
    file = carrier_file("human_eval", "data/HumanEval.jsonl.gz", _HUMAN_EVAL, distribution="human-eval", extra="data")
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return TaskSet(
        name="human_eval",
        split="test",
        license="MIT",
        source="human-eval's data/HumanEval.jsonl.gz",
        tasks=tuple(
            CodeTask(row["task_id"], row["prompt"], row["entry_point"], row["canonical_solution"], row["test"])
            for row in rows
        ),
    )


def split_of(module: str) -> str:
    """The split of a module: a function of its first name alone, so it is the same in every version of Python."""
    bucket = hashlib.blake2b(module.partition(".")[0].encode(), digest_size=8, key=b"companion").digest()
    share = int.from_bytes(bucket, "big") / 2**64
    return "train" if share < 0.8 else "valid" if share < 0.9 else "test"


@lru_cache(maxsize=1)
def _library() -> tuple[tuple[str, str], ...]:
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).with_suffix("").parts
        if _LEFT_OUT.isdisjoint(parts) and not parts[0].startswith(("_sysconfigdata", "lib-dynload", "config-")):
            raw = file.read_bytes()
            if raw.isascii() and raw.strip():
                name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
                found.append((name, raw.decode().replace("\r\n", "\n").expandtabs().strip() + "\n"))
    return tuple(sorted(found))


def _functions(source: str) -> Iterator[str]:
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            block = lines[node.lineno - 1 : node.end_lineno]
            # Only the indentation of the first line goes; a text over several lines may stand further left.
            indent = " " * node.col_offset
            yield "\n".join(line.removeprefix(indent) for line in block) + "\n"
