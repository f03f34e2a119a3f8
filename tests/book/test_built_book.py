"""What must be true of the book once `make book` has built it: above all, that it shows no solution."""

import html
import re
from functools import cache
from pathlib import Path

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from tests.exercises import notebooks

BUILT = notebooks.ROOT / "_build"
PLACES = ("html", "jupyter_execute")
IDS = [path.stem for path in notebooks.SOURCES]


def squeeze(text: str) -> str:
    """What a reader sees of a page, without mark-up and white space: Pygments wraps each token in tags of its own."""
    return "".join(html.unescape(re.sub(r"<[^>]*>", "", text)).replace('\\"', '"').replace("\\n", "").split())


@cache
def texts(file: Path) -> frozenset[str]:
    """What stands in a file, as a page and as a raw notebook; each file is read once for all assignments."""
    raw = file.read_bytes().decode("utf-8", errors="ignore")
    return frozenset((squeeze(raw), "".join(raw.replace('\\"', '"').replace("\\\\", "\\").split())))


def leaks(file: Path, secrets: list[str]) -> list[str]:
    return [line for line in secrets if any(line in text for text in texts(file))]


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    if not (BUILT / "html/index.html").is_file():
        pytest.fail("there is no book in _build/html: run `make book` first")
    return [path for place in PLACES for path in (BUILT / place).rglob("*") if path.is_file()]


@pytest.mark.built_book
@pytest.mark.parametrize("source", notebooks.SOURCES, ids=IDS)
def test_no_line_of_a_solution_stands_anywhere_in_the_built_book(source: Path, pages: list[Path]) -> None:
    secrets = notebooks.secrets(source)
    assert len(secrets) >= 6
    found = {str(path.relative_to(BUILT)): lines for path in pages if (lines := leaks(path, secrets))}
    assert not found


@pytest.mark.built_book
def test_no_instructors_notebook_is_published(pages: list[Path]) -> None:
    assert not [path for path in pages if "exercises" in path.relative_to(BUILT).parts]
    delimiters = ("### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS")
    notebooks_and_pages = [path for path in pages if path.suffix in (".html", ".ipynb", ".txt")]
    shown = [path for path in notebooks_and_pages if leaks(path, ["".join(text.split()) for text in delimiters])]
    # The page for instructors explains the delimiters.
    assert {path.relative_to(BUILT).as_posix() for path in shown} <= {"html/book/instructors/index.html"}


@pytest.mark.built_book
@pytest.mark.parametrize("source", notebooks.SOURCES, ids=IDS)
def test_the_students_version_is_a_page_that_its_lessons_link_to(source: Path, pages: list[Path]) -> None:
    chapter = source.parent.name
    page = BUILT / "html/book/assignments" / chapter / f"{source.stem}.html"
    assert 'raise NotImplementedError("write your answer here")'.replace(" ", "") in squeeze(page.read_text("utf-8"))
    lessons = list((notebooks.ROOT / "book" / chapter).glob("*.ipynb"))
    assert lessons
    for lesson in lessons:
        shown = (BUILT / "html/book" / chapter / f"{lesson.stem}.html").read_text("utf-8")
        assert f"assignments/{chapter}/{source.stem}.html" in shown.split("<article")[1].split("</article")[0], lesson


@pytest.mark.parametrize("source", notebooks.SOURCES, ids=IDS)
def test_the_search_finds_a_solution_that_leaked(source: Path, tmp_path: Path) -> None:
    """As a highlighted page and as a raw notebook, whatever the tags and escapes between its words."""
    cells = notebooks.read(source).cells
    solution = next(cell.source for cell in cells if "BEGIN SOLUTION" in cell.source)
    page = tmp_path / "page.html"
    page.write_text(highlight(solution, PythonLexer(), HtmlFormatter()), encoding="utf-8")
    assert leaks(page, notebooks.secrets(source))
    assert leaks(source, notebooks.secrets(source)) == notebooks.secrets(source)
