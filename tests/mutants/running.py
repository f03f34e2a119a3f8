"""Running mutants: each in a fresh process of pytest, in a copy of the project, held to a limit of the processor's time.

The working tree is never written: every worker has its copy below ``_build/mutants``. A fresh process costs the import of
torch, and buys that no mutant can spoil the next one's run.
"""

import ast
import difflib
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mutants.mutations import Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIES = ROOT / "_build" / "mutants"
COPIED = ("companion", "tests", "book/measured.json", "pyproject.toml", "README.md", "LICENSE")
# Not of the modules: they run lessons, the book, graders or mutants.
_OTHER_TESTS = {"exercises", "lessons", "book", "benchmarks", "mutants"}
_PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
_NO_TESTS = 5  # pytest's exit code
_MEMORY_KB = 16 * 2**20  # of one process: a size that became a power must not take the machine down
# Ten times the tests' usual time and a minute for the start. The wall only ends a process that waits for ever.
_TIMES, _START, _WALL = 10, 60, 3600


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
            names = found[path.relative_to(root)] = set()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                if isinstance(node, ast.ImportFrom) and node.module:
                    names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


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


def workers(copy: Path, n: int) -> list[Path]:
    """n copies: this one and others made of it, with the byte code that its baseline has left."""
    return [copy, *(shutil.copytree(copy, COPIES / str(number)) for number in range(1, n))]


def baseline(copy: Path, files: list[str], jobs: int, marks: str) -> dict[str, float]:
    """Run the tests as they are; the seconds of each file. The byte code stays, so that no mutant's run compiles it again.

    Raises:
        BaselineFailed: one of them fails.
    """
    report = copy / "baseline.xml"
    parallel = ("-n", str(jobs), "--dist", "loadfile") if jobs > 1 else ()
    command = [sys.executable, *_PYTEST, *parallel, "-m", marks, f"--junitxml={report}", *files]
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


def run(mutant: Mutant, copy: Path, files: list[str], seconds: float, marks: str) -> Result:
    """Put a mutant into a copy, run these tests, and take it out again.

    Args:
        mutant: the change.
        copy: one of `workers`, which nobody else uses meanwhile.
        files: the tests; none makes the mutant ``untested``.
        seconds: what they take without a mutant.
        marks: which of them, in pytest's words.
    """
    file, original = copy / mutant.path, ROOT / mutant.path
    source = original.read_text(encoding="utf-8")
    changed = mutant.apply(source)
    diff = "\n".join(
        line for line in difflib.unified_diff(source.split("\n"), changed.split("\n"), n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    )  # fmt: skip
    if not files:
        return Result(mutant, "untested", 0.0, diff)
    limit = int(_START + _TIMES * seconds)
    # The shell sets the limits: a function between fork and exec is not safe beside threads.
    limits = f'ulimit -t {limit}; ulimit -v {_MEMORY_KB} 2>/dev/null; exec "$@"'
    command = ["sh", "-c", limits, "sh", sys.executable, *_PYTEST, "-m", marks, *files]
    file.write_text(changed, encoding="utf-8")
    try:
        code, used = _call(command, copy)
    finally:
        shutil.copy2(original, file)
    outcome = {0: "survived", _NO_TESTS: "untested"}.get(code, "killed")
    return Result(mutant, outcome, used, diff)


def _call(command: list[str], copy: Path) -> tuple[int, float]:
    """The exit code, and the seconds of the processor; 124 if it waited for ever."""
    process = subprocess.Popen(
        command, cwd=copy, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + _WALL
    while time.monotonic() < end:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        time.sleep(0.05)
    os.killpg(process.pid, 9)
    process.wait()
    return 124, 0.0


def _environment() -> dict[str, str]:
    # A mutant leaves no byte code: a module changed twice within a second must not be read from the first change's.
    return os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
