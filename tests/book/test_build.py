"""The command behind `make book` and `make assignments`: what it makes, and that it fails where it must."""

import shutil
from pathlib import Path

import nbformat
import pytest

from tests.book import build
from tests.book.build import BuildFailed, generate, render
from tests.exercises.notebooks import ROOT

CONFIG = """title: A book
only_build_toc_files: true
execute: {execute_notebooks: "off"}
html: {use_issues_button: false}
"""


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "index.md").write_text("# A page\n\nText.\n")
    return tmp_path


def test_a_course_without_exercises_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="got no notebook in .*wanted one in a folder for each assignment"):
        generate(tmp_path)


@pytest.mark.slow
def test_an_exercise_that_nbgrader_refuses_fails_the_build(tmp_path: Path) -> None:
    """A solution in a cell that is not marked as one would be published: nbgrader stops, and so must the build."""
    folder = tmp_path / "book/exercises/9_99_none"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    cell = nbformat.v4.new_code_cell("### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "9_99_none.ipynb")
    with pytest.raises(BuildFailed, match="nbgrader on 9_99_none ended with code 1"):
        generate(tmp_path)
    assert not list((tmp_path / "book/assignments").rglob("*.ipynb"))


@pytest.mark.slow
def test_a_warning_fails_the_build_each_time(small_book: Path) -> None:
    """Sphinx warns only of what it reads anew; the second build must not be green because of that."""
    (small_book / "index.md").write_text("# A page\n\n[nowhere](nowhere.md)\n")
    for _ in range(2):
        with pytest.raises(BuildFailed, match="jupyter-book .any warning above fails the build. ended with code"):
            render(small_book)


@pytest.mark.slow
def test_a_clean_book_is_built_from_scratch(small_book: Path) -> None:
    stale = small_book / "_build/html/gone.html"
    stale.parent.mkdir(parents=True)
    stale.write_text("a page that is no longer in the book")
    assert render(small_book).read_text(encoding="utf-8").count("A page") > 0
    assert not stale.exists()


@pytest.mark.parametrize("fails", [True, False])
def test_the_command_says_where_to_look_or_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, fails: bool
) -> None:
    def rendered(root: Path) -> Path:
        if fails:
            raise BuildFailed("a reason")
        return tmp_path / "index.html"

    monkeypatch.setattr(build, "generate", lambda root: ["3_03_foundations"])
    monkeypatch.setattr(build, "render", rendered)
    monkeypatch.setattr("sys.argv", ["build"])
    assert build.main() == fails
    printed = capsys.readouterr()
    assert "not built: a reason" in printed.err if fails else "Open file://" in printed.out
