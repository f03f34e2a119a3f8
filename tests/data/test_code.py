"""Source code as data: whole modules in one split, splits that no version of Python moves, tasks that their solutions pass."""

import ast
import platform

import pytest

from companion.data import CorruptFile, human_eval, more_itertools, standard_library
from companion.data import code as code_module
from companion.data.code import CodeSet, split_of
from tests.conftest import rejects

SPLITS = ("train", "valid", "test")


def test_says_what_it_is() -> None:
    library = standard_library("valid")
    assert library.license == "PSF-2.0" and library.python == platform.python_version()
    assert f"Python {platform.python_version()}" in repr(library) and "characters" in repr(library)
    assert len(library) == sum(map(len, library.sources)) and library.sources[0] in library.text


def test_splits_are_whole_packages_and_together_everything() -> None:
    whole = standard_library("all")
    assert len(whole) > 5_000_000
    parts = {split: standard_library(split) for split in SPLITS}
    assert sorted(m for part in parts.values() for m in part.modules) == sorted(whole.modules)
    tops = {split: {m.partition(".")[0] for m in part.modules} for split, part in parts.items()}
    assert not tops["train"] & tops["valid"] and not tops["train"] & tops["test"] and not tops["valid"] & tops["test"]
    assert len(parts["train"]) > 5 * len(parts["valid"]) > 0 and len(parts["test"]) > 200_000


def test_the_split_follows_from_the_name_alone() -> None:
    """So a module stays where it is when another version of Python has more or fewer modules."""
    assert {split_of(name) for name in ("json", "json.decoder", "json.tool")} == {split_of("json")}
    assert [split_of(name) for name in ("argparse", "difflib", "bisect", "email.header", "argparse")] == [
        "train", "valid", "valid", "test", "train"]  # fmt: skip


def test_nothing_of_this_machine_and_no_tests() -> None:
    library = standard_library("all")
    assert not [m for m in library.modules if "sysconfigdata" in m or "test" in m.split(".") or "tests" in m.split(".")]
    assert "textwrap" in library.modules and "json.decoder" in library.modules and "more_itertools" not in library.text
    assert all(source.isascii() and "\r" not in source and "\t" not in source for source in library.sources)


def test_every_file_and_every_function_parses() -> None:
    library = standard_library("test")
    for source in library.sources:
        ast.parse(source)
    functions = library.functions()
    assert len(functions) > 200 and functions == library.functions() and library.functions(3) == functions[:3]
    for text in functions:
        assert text.startswith(("def ", "async def ")) and isinstance(ast.parse(text).body[0], ast.stmt)


def test_digest_is_of_names_and_texts() -> None:
    def made(modules, sources):
        return CodeSet(name="x", split="all", license="", source="", modules=modules, sources=sources, python="3")

    a = made(("a", "b"), ("x = 1\n", "y = 2\n"))
    assert a.digest == made(("a", "b"), ("x = 1\n", "y = 2\n")).digest
    assert a.digest != made(("a", "c"), ("x = 1\n", "y = 2\n")).digest
    assert a.digest != made(("a", "b"), ("x = 1\n", "y = 3\n")).digest
    assert standard_library("valid").digest == standard_library("valid").digest != standard_library("test").digest


def test_more_itertools_is_held_out() -> None:
    package, library = more_itertools(), standard_library("all").text
    assert package.license == "MIT" and package.split == "test" and len(package.functions()) > 200
    own = [f for f in package.functions() if len(f) > 300]
    assert not [f for f in own if f in library]


def test_human_eval_is_the_published_set() -> None:
    """164 tasks; the names and the first task's function are those of the paper's repository."""
    tasks = human_eval().tasks
    assert [task.name for task in tasks] == [f"HumanEval/{i}" for i in range(164)]
    assert tasks[0].entry_point == "has_close_elements"
    for task in tasks:
        program = task.program(task.solution)
        assert f"def {task.entry_point}(" in task.prompt and "def check(candidate)" in program
        ast.parse(program)


def test_bad_input(monkeypatch) -> None:
    with rejects("split"):
        standard_library("tests")
    with rejects("limit"):
        standard_library(limit=0)
    monkeypatch.setattr(code_module, "_HUMAN_EVAL", "0" * 64)
    with rejects("sha256.*human-eval", CorruptFile):
        human_eval()
    monkeypatch.setitem(code_module._MORE_ITERTOOLS, "more.py", "0" * 64)
    with rejects("more-itertools", CorruptFile):
        more_itertools()


@pytest.mark.parametrize("tree", ["class A:\n    def f(self):\n        '''a\n  b'''\n        return 1\n"])
def test_functions_lose_their_indentation(tree: str) -> None:
    [text] = code_module._functions(tree)
    assert text == "def f(self):\n    '''a\n  b'''\n    return 1\n"
