"""What `make assignments` and `make book` run: the students' versions by stock nbgrader, then the strict build.

python -m tests.book.build [--assignments-only]
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# nbgrader generate_assignment --force for several assignments, without starting Python anew for each.
_GENERATE = """
import sys
from nbgrader.apps import GenerateAssignmentApp
options = [word for word in sys.argv[1:] if word.startswith("--")]
for name in sys.argv[1 + len(options):]:
    GenerateAssignmentApp.clear_instance()
    app = GenerateAssignmentApp.instance()
    app.initialize([name, "--force", *options])
    app.start()
"""
# jupyter-book, for which there is no `python -m` that would take the strict options on every platform. Sphinx reads the tree of
# each page back several times, and to look for garbage in trees takes longer than to read them; pybtex asks all installed
# packages for its plug-ins at each citation. Together they are a third of the build.
_BOOK = """
import functools, gc, sys
import pybtex.plugin
from jupyter_book.cli.main import main
gc.freeze()
gc.set_threshold(200_000, 50, 100)
pybtex.plugin.find_plugin = functools.cache(pybtex.plugin.find_plugin)
sys.exit(main())
"""


def main() -> int:
    """Build, and return the code for the shell: 0 only if there was no warning."""
    arguments = argparse.ArgumentParser(prog="python -m tests.book.build", description=__doc__.split("\n")[0])
    arguments.add_argument("--assignments-only", action="store_true", help="do not render the book")
    only = arguments.parse_args().assignments_only
    started = time.monotonic()
    try:
        names = generate(ROOT)
        print(f"Assignments: {', '.join(names)} in {ROOT / 'book/assignments'}")
        if only:
            return 0
        page = render(ROOT)
    except BuildFailed as error:
        print(f"\nThe book is not built: {error}", file=sys.stderr)
        return 1
    print(f"\nThe book is built in {time.monotonic() - started:.0f} s. Open {page.as_uri()}")
    return 0


class BuildFailed(RuntimeError):
    """A step of the build did not succeed; what it printed stands above."""


def generate(root: Path) -> list[str]:
    """Make the students' version of every assignment below ``book/exercises``, from scratch.

    The gradebook that stock nbgrader asks for is a throw-away one, and the folder the book's own: a build must never touch an
    instructor's course.

    Args:
        root: the folder with ``nbgrader_config.py``.

    Returns:
        The assignments' names.
    """
    sources = sorted(root.glob("book/exercises/*/*.ipynb"))
    names = sorted({path.parent.name for path in sources})
    if not names:
        raise BuildFailed(f"got no notebook in {root / 'book/exercises'}, wanted one in a folder for each assignment")
    shutil.rmtree(root / "book/assignments", ignore_errors=True)
    gradebook = root / "_build/assignments.db"
    gradebook.parent.mkdir(exist_ok=True)
    gradebook.unlink(missing_ok=True)
    options = [
        f"--CourseDirectory.db_url=sqlite:///{gradebook.as_posix()}",
        "--CourseDirectory.release_directory=book/assignments",
        "--log-level=WARN",
    ]
    _run([sys.executable, "-c", _GENERATE, *options, *names], root, f"nbgrader on {', '.join(names)}")
    missing = [path for path in sources if not (root / "book/assignments" / path.parent.name / path.name).is_file()]
    if missing:
        raise BuildFailed(f"nbgrader made no students' version of {', '.join(path.name for path in missing)}")
    return names


def render(root: Path) -> Path:
    """Render the book from the outputs that its notebooks store; any warning fails.

    Returns:
        The landing page.
    """
    # From scratch: pages that are no longer in the book must not stay, and Sphinx warns only of what it reads anew.
    for old in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(root / "_build" / old, ignore_errors=True)
    options = ["build", ".", "--path-output", ".", "-W", "-n", "--keep-going", "-q"]
    _run([sys.executable, "-c", _BOOK, *options], root, "jupyter-book (any warning above fails the build)")
    page = root / "_build/html/index.html"
    if not page.is_file():
        raise BuildFailed(f"jupyter-book reported success, but there is no {page}")
    return page


def environment() -> dict[str, str]:
    """The environment for the tools' processes: nbgrader calls ``alembic`` by its bare name, from this Python's folder."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {**os.environ, "PATH": path, "PYTHONWARNINGS": "ignore", "JUPYTER_PLATFORM_DIRS": "1", "PYTHONUTF8": "1"}


def _run(command: list[str], root: Path, what: str) -> None:
    code = subprocess.run(command, cwd=root, env=environment(), check=False).returncode
    if code:
        raise BuildFailed(f"{what} ended with code {code}")


if __name__ == "__main__":
    sys.exit(main())
