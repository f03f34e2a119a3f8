"""Running mutants: each in a process of its own, in a copy of the project, held to a limit of the processor's time.

The working tree is never written: every worker has its copy below ``_build/mutants``, and forks its runs of pytest from a
process that has imported torch and the like, but nothing of the project (`warm`): no mutant can spoil the next one's run.
"""

import ast
import difflib
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mutants.mutations import Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIES = ROOT / "_build" / "mutants"
COPIED = ("companion", "tests", "book", "pyproject.toml", "README.md", "LICENSE")
# Not of the modules: they run lessons, the book, graders or mutants.
_OTHER_TESTS = {"exercises", "lessons", "book", "benchmarks", "mutants"}
_PYTEST = ("-q", "-x", "-p", "no:cacheprovider")
# Plugins that no test of a module needs; and what `warm` has imported is not rewritten, which is no fault.
_LEAN = ("-p", "no:xdist", "-p", "no:benchmark", "-p", "no:anyio", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_NO_TESTS = 5  # pytest's exit code
_MEMORY = 16 * 2**30  # bytes of one process: a size that became a power must not take the machine down
# Four times the tests' usual time and 20 seconds for the start, for a mutant that never ends. They are the processor's, so a
# busy machine kills nothing; the wall only ends a process that waits for ever.
_TIMES, _START, _WALL = 4, 20, 3600


@dataclass(frozen=True)
class Result:
    """What became of a mutant.

    Attributes:
        mutant: the change.
        outcome: ``killed``, ``survived``, or ``untested`` if no test uses the module.
        seconds: of the processor.
        diff: the lines before and after, as ``-`` and ``+``.
    """

    mutant: Mutant
    outcome: str
    seconds: float
    diff: str


class BaselineFailed(RuntimeError):
    """The tests fail without a mutant, so they can say nothing about one."""


def files_that_test(module: str) -> list[str]:
    """The files of the module's and of its package's name, and those of its folder that import it.

    Where there are none: all that import it, or else all of its folder.
    """
    *folder, stem = Path("tests", *Path(module).parts[1:]).with_suffix("").parts
    package = Path(*folder[:-1], f"test_{folder[-1]}.py")
    own = [package] if stem == "__init__" else [Path(*folder, f"test_{stem}.py"), package]
    name = ".".join(Path(module).with_suffix("").parts).removesuffix(".__init__")
    imports = _imports(ROOT)
    importers = [path for path, names in imports.items() if name in names]
    near = [path for path in importers if path.parent == Path(*folder) and path not in own]
    files = [path for path in own if path in imports] + near
    return [path.as_posix() for path in files or importers or (p for p in imports if p.parent == Path(*folder))]


@cache
def _imports(root: Path) -> dict[Path, set[str]]:
    """What each file of tests imports: modules, and names of modules, which may be modules too."""
    found: dict[Path, set[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if _OTHER_TESTS.isdisjoint(path.relative_to(root).parts):
            found[path.relative_to(root)] = _imported(path)
    return found


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def imports_from_outside(copy: Path, files: list[str]) -> list[str]:
    """What the package, the tests' own helpers and these tests import, without the project itself."""
    package = (path for path in (copy / "companion").rglob("*.py") if "exercises" not in path.parts)
    paths = [*package, *(copy / "tests").glob("[!t]*.py"), *(copy / name for name in files)]
    return sorted(
        {name for path in paths for name in _imported(path) if name.split(".")[0] not in ("companion", "tests")}
    )


def copy_project() -> Path:
    """A fresh copy of what the tests need."""
    shutil.rmtree(COPIES, ignore_errors=True)
    copy = COPIES / "0"
    for name in COPIED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)
    return copy


class Worker:
    """A copy of the project, and the process that forks the runs in it; end it with `close`."""

    def __init__(self, copy: Path, files: list[str]) -> None:
        """Start the process, which imports what these tests need from outside."""
        self.copy = copy
        command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
        self._process = subprocess.Popen(
            command, cwd=copy, env=_environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._say(imports_from_outside(copy, files))

    def pytest(self, files: list[str], cpu: int, marks: str) -> tuple[int, float]:
        """The exit code of one run, held to so many seconds of the processor, and the seconds that it used."""
        arguments = [*_PYTEST, *_LEAN, "-m", marks, *files]
        self._say({"arguments": arguments, "cpu": cpu, "memory": _MEMORY, "wall": _WALL})
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["seconds"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _say(self, what: object) -> None:
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()


def workers(copy: Path, n: int, seconds: dict[str, float], marks: str) -> list[Worker]:
    """n of them: in this copy and in others made of it, with the byte code that its baseline has left.

    Raises:
        BaselineFailed: the quickest file fails in one, which would look like so many dead mutants.
    """
    copies = [copy, *(shutil.copytree(copy, COPIES / str(number)) for number in range(1, n))]
    staff = [Worker(each, list(seconds)) for each in copies]
    for quickest in sorted(seconds, key=seconds.__getitem__)[:1]:
        for worker in staff:
            code, _ = worker.pytest([quickest], int(_START + _TIMES * seconds[quickest]), marks)
            if code:
                for other in staff:
                    other.close()
                raise BaselineFailed(f"{quickest} ends with {code} in a fork, and with 0 in a fresh process")
    return staff


def baseline(copy: Path, files: list[str], jobs: int, marks: str) -> dict[str, float]:
    """Run the tests as they are; the seconds of each file. The byte code stays, so that no mutant's run compiles it again.

    Raises:
        BaselineFailed: one of them fails.
    """
    report = copy / "baseline.xml"
    parallel = ("-n", str(jobs), "--dist", "loadfile") if jobs > 1 else ()
    command = [sys.executable, "-m", "pytest", *_PYTEST, *parallel, "-m", marks, f"--junitxml={report}", *files]
    environment = _environment() | {"PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, _NO_TESTS):
        raise BaselineFailed(done.stdout[-4000:] + done.stderr[-1000:])
    seconds: dict[str, float] = defaultdict(float)
    for case in ET.parse(report).iter("testcase"):
        parts = case.get("classname", "").split(".")
        parts = parts[: next(i for i, part in enumerate(parts) if part.startswith("test_")) + 1]
        seconds["/".join(parts) + ".py"] += float(case.get("time", 0))
    return seconds


def run(mutant: Mutant, worker: Worker, files: list[str], seconds: float, marks: str) -> Result:
    """Put a mutant into a copy, run these tests, and take it out again.

    Args:
        mutant: the change.
        worker: one of `workers`, which nobody else uses meanwhile.
        files: the tests; none makes the mutant ``untested``.
        seconds: what they take without a mutant.
        marks: which of them, in pytest's words.
    """
    file, original = worker.copy / mutant.path, ROOT / mutant.path
    source = original.read_text(encoding="utf-8")
    changed = mutant.apply(source)
    diff = difference(source, changed)
    if not files:
        return Result(mutant, "untested", 0.0, diff)
    file.write_text(changed, encoding="utf-8")
    try:
        code, used = worker.pytest(files, int(_START + _TIMES * seconds), marks)
    finally:
        shutil.copy2(original, file)
    outcome = {0: "survived", _NO_TESTS: "untested"}.get(code, "killed")
    return Result(mutant, outcome, used, diff)


def difference(source: str, changed: str) -> str:
    """The lines before and after, as ``-`` and ``+``."""
    lines = difflib.unified_diff(source.split("\n"), changed.split("\n"), n=0, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def _environment() -> dict[str, str]:
    # A mutant leaves no byte code: a module changed twice within a second must not be read from the first change's.
    return os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
