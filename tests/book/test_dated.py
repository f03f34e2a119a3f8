"""What ages stands in one place: each statement has its day, its sources and its pages, and no page makes one of its own."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.book import dated
from tests.book.dated import BLOCK, HEAD, Statement, block, read, write
from tests.book.test_references import ENTRIES
from tests.conftest import rejects
from tests.lessons import notebooks

ONE = Statement("a", ("3_04_text",), "It is so.", date(2026, 11, 5), date(2026, 11, 28), ("key2026", "other"))
PROSE = {notebooks.name(path): notebooks.prose(notebooks.read(path)) for path in notebooks.lessons()}


@pytest.mark.parametrize("one", read(), ids=lambda one: one.id)
def test_a_statement_has_its_days_its_sources_and_its_pages(one: Statement) -> None:
    assert set(one.sources) <= set(ENTRIES), "a source that is not in references.bib"
    assert type(one.as_of) is type(one.checked) is date
    assert one.as_of <= one.checked, "nobody can have checked it on that day"
    for page in one.pages:
        assert str(one) in PROSE[page], f"{page} does not show it as the file has it: make dated"


@pytest.mark.parametrize("page", PROSE)
def test_a_page_shows_what_the_file_has_and_says_what_does_not_age(page: str) -> None:
    shown = BLOCK.findall(PROSE[page])
    wanted = [block(page, read())] if any(page in one.pages for one in read()) else []
    assert shown == wanted, "make dated"
    assert PROSE[page].count(HEAD) == len(shown)
    if shown:
        assert re.search(r"\bdo(es)? not\s+age", BLOCK.sub("", PROSE[page])), "what on this page lasts?"


@pytest.mark.parametrize("page", PROSE)
def test_no_page_states_by_itself_what_is_so_as_of_a_day(page: str) -> None:
    found = re.search(
        r"\bas\s+of\s+[A-Z][a-z]+\s+20\d\d|\bread in [A-Z][a-z]+ 20\d\d", BLOCK.sub("", PROSE[page]), re.I
    )
    assert not found, f"{found}: move it to book/dated.toml"


@pytest.mark.parametrize("field", ["pages", "statement", "as_of", "checked", "sources"])
def test_a_statement_without_one_of_its_fields_is_refused(field: str, tmp_path: Path) -> None:
    with rejects(f"a: got no {field}"):
        replace(ONE, **{field: ()})
    rows = {"pages": '["p"]', "statement": '"s"', "as_of": "2026-11-28", "checked": "2026-11-28", "sources": '["k"]'}
    del rows[field]
    file = tmp_path / "dated.toml"
    file.write_text("[a]\n" + "\n".join(f"{name} = {value}" for name, value in rows.items()), encoding="utf-8")
    with pytest.raises(TypeError, match=field):
        read(file)


def notebook(folder: Path, *sources: str) -> Path:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)} for source in sources
    ]
    path = folder / "3_04_text.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


def test_a_block_is_rewritten_in_its_place(tmp_path: Path) -> None:
    path = notebook(tmp_path, "first", f"before\n\n{HEAD}old\n:::\n\n:::{{note}}\nanother\n:::\nafter")
    write(path, block("3_04_text", [ONE, replace(ONE, id="b", pages=("elsewhere",), statement="Not here.")]))
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    shown = f"{HEAD}\n- *5 November 2026.* It is so. {{cite:p}}`key2026,other`\n:::"
    assert cells == ["first", f"before\n\n{shown}\n\n:::{{note}}\nanother\n:::\nafter"]


@pytest.mark.parametrize("sources", [("no block",), (f"{HEAD}:::", f"{HEAD}:::")])
def test_a_page_without_a_block_or_with_two_is_refused(sources: tuple[str, ...], tmp_path: Path) -> None:
    with rejects(f"got {sources.count(HEAD + ':::')} cells with a block"):
        write(notebook(tmp_path, *sources), "text")


def test_the_command_lists_those_checked_longest_ago_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook(tmp_path, f"{HEAD}:::")
    older = replace(ONE, id="older", checked=date(2026, 11, 6))
    monkeypatch.setattr(dated, "BOOK", tmp_path)
    monkeypatch.setattr(dated, "read", lambda: [ONE, older])
    dated.main()
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["2026-11-06", "older"],
        ["2026-11-28", "a"],
    ]
