"""The form of a lesson, checked for every notebook that the book has: the rules stand in CONTRIBUTING.md."""

import ast
import contextlib
import functools
import json
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from companion.lesson import Box
from tests.lessons import notebooks
from tests.lessons.__main__ import (
    ALL_LESSONS,
    EXCEPTIONS,
    FLAGSHIPS,
    FLAGSHIPS_OF_A_CHAPTER,
    MEMORY_MB,
    seconds_allowed,
)
from tests.lessons.running import MEASURED

PATHS = notebooks.lessons()
LARGEST = 500_000  # bytes of a notebook with its outputs
# Those with a dozen pictures of noise and clouds of points, at twice the points that a page shows.
LARGER = {"3_02_history/timeline": 515_000, "3_03_foundations/losses": 540_000, "3_06_image/ddpm": 510_000}
COLUMNS = 76
FOLDED = {"hide-input", "remove-input"}
PICTURES = {"image/png", "image/gif", "image/svg+xml"}
LAST_SECTIONS = ["What goes wrong", "How today's systems differ", "Summary", "Exercises"]


@pytest.fixture(params=PATHS, ids=notebooks.name)
def lesson(request: pytest.FixtureRequest) -> "Lesson":
    return read(request.param)


class Lesson:
    """What the tests look at; they change nothing in it, so that it is read once for all of them."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.notebook = path, notebooks.name(path), notebooks.read(path)
        self.code = notebooks.code_cells(self.notebook)
        self.prose = notebooks.prose(self.notebook)
        self.is_chapter = path.parent == notebooks.BOOK
        self.section = "{}.{}".format(*map(int, re.match(r"(\d)_(\d\d)", self.name).groups()))  # 3_03_… is 3.3
        self.all_calls = [
            (number, node)
            for number, cell in enumerate(self.code)
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]

    def calls(self, function: str) -> list[tuple[int, ast.Call]]:
        """Each call of a function by its name, with the number of its cell."""
        return [(number, call) for number, call in self.all_calls if call.func.id == function]


read = functools.cache(Lesson)


def first_arguments(calls: list[tuple[int, ast.Call]]) -> list[str]:
    return [call.args[0].value for _, call in calls if call.args and isinstance(call.args[0], ast.Constant)]


def test_first_cell_holds_all_imports_and_the_parameters(lesson: Lesson) -> None:
    first = lesson.code[0]
    assert "parameters" in notebooks.tags(first)
    assert re.search(r"^SEED = 0$", first.source, re.M)
    assert re.search(r'^BUDGET = "laptop"$', first.source, re.M)
    for cell in lesson.code[1:]:
        tree = ast.parse(cell.source)
        for node in ast.walk(tree):
            assert not isinstance(node, (ast.Import, ast.ImportFrom)), (
                f"an import outside the first cell: {cell.source}"
            )
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                assert node.id not in ("SEED", "BUDGET"), f"a parameter is assigned again: {cell.source}"


def test_colab_installs_the_course_before_the_imports(lesson: Lesson) -> None:
    unseen = [cell for cell in lesson.notebook.cells if "remove-cell" in notebooks.tags(cell)]
    assert [cell.source for cell in unseen] == [notebooks.COLAB]
    assert lesson.notebook.cells[lesson.notebook.cells.index(unseen[0]) + 1] == lesson.code[0]
    assert not unseen[0].outputs


def test_second_cell_sets_the_lesson_up(lesson: Lesson) -> None:
    assert "nbval-ignore-output" in notebooks.tags(lesson.code[1])
    assert lesson.code[1].source.strip() == f'run = setup("{lesson.name}", SEED, BUDGET)'


def test_cells_are_short_and_neither_few_nor_many(lesson: Lesson) -> None:
    own = [cell for cell in lesson.code if "try" not in notebooks.tags(cell)]
    shown = [cell for cell in own if not FOLDED & {*notebooks.tags(cell)}]
    assert len(own) >= (6 if lesson.is_chapter else 20), f"{len(own)} code cells"
    assert len(shown) <= 40, f"{len(shown)} code cells that are not folded"
    lines = [len(cell.source.splitlines()) for cell in shown]
    assert statistics.median(lines) <= 10, f"median {statistics.median(lines)} lines"
    assert max(lines) <= 40, f"longest cell {max(lines)} lines"


def called(cell: dict) -> set[str | None]:
    """The functions that the statements of a cell call; None is what is no call of a function by its name."""
    values = [getattr(statement, "value", None) for statement in ast.parse(cell.source).body]
    return {getattr(getattr(value, "func", None), "id", None) for value in values}


def test_plumbing_is_folded(lesson: Lesson) -> None:
    """Imports, set-up, what draws and what checks a claim; a call of `show` alone leaves the page, its output stays."""
    for cell in lesson.code:
        draws = any(PICTURES & output.get("data", {}).keys() for output in cell.outputs)
        if cell in lesson.code[:2] or draws or called(cell) <= {"claim", "glue", "predicted", "print"}:
            assert FOLDED & {*notebooks.tags(cell)}, f"not folded: {cell.source}"


def test_what_is_asked_before_a_run_is_answered_after_it(lesson: Lesson) -> None:
    """A cell tagged `predict` holds ``name = ...``; a later cell puts the reader's value beside what was measured."""
    asked = [(number, cell) for number, cell in enumerate(lesson.code) if "predict" in notebooks.tags(cell)]
    assert asked or lesson.is_chapter, "the reader is asked for no prediction"
    answers = {ast.unparse(call.args[0]): number for number, call in lesson.calls("predicted")}
    names = [(number, line.partition(" = ...")) for number, cell in asked for line in cell.source.splitlines()]
    assert all(rest[1] for _, rest in names), "more than `prediction = ...` in a cell tagged predict"
    assert sorted(rest[0] for _, rest in names) == sorted(answers)
    assert all(number < answers[rest[0]] for number, rest in names), "answered before it is asked"


def test_lines_of_code_fit_a_page(lesson: Lesson) -> None:
    for cell in lesson.code:
        assert "fmt: skip" not in cell.source, cell.source
        for line in cell.source.splitlines():
            assert len(line) <= COLUMNS, f"{len(line)} columns: {line}"


def test_prose_is_long_enough_to_teach_and_short_enough_to_read(lesson: Lesson) -> None:
    words = len(
        re.findall(r"\w+", re.sub(r"\$\$.*?\$\$|```.*?```|<details>.*?</details>", "", lesson.prose, flags=re.S))
    )
    assert (900 if lesson.is_chapter else 1500) <= words <= 3000, f"{words} words of prose"
    assert not re.search(r"\bsimply\b", lesson.prose, re.I), "nothing is simple to someone who learns it"


def test_sections_stand_in_the_order_of_a_lesson(lesson: Lesson) -> None:
    titles = re.findall(r"^# (.+)$", lesson.prose, re.M)
    sections = re.findall(r"^## (.+)$", lesson.prose, re.M)
    assert len(titles) == 1, titles
    assert lesson.prose.startswith("("), "the title has a label above it, such as (3-3-attention)="
    assert sections[0] == "What you will be able to do"
    assert sections[-4:] == LAST_SECTIONS, sections
    assert len(sections) >= 8 or lesson.is_chapter, "intuition, mathematics, code and experiment are sections too"


def test_displayed_equations_are_labelled(lesson: Lesson) -> None:
    for cell in lesson.notebook.cells:
        if cell.cell_type == "markdown":
            pieces = re.sub(r"```.*?```", "", cell.source, flags=re.S).split("$$")
            assert len(pieces) % 2 == 1, f"an unclosed $$: {cell.source[:80]}"
            for equation, after in zip(pieces[1::2], pieces[2::2], strict=True):
                assert re.match(r" ?\(eq-[\w-]+\)", after), f"no label behind $${equation}$$"


def test_outputs_are_stored_from_one_run_without_errors(lesson: Lesson) -> None:
    counts = [cell.execution_count for cell in lesson.notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "not executed once, top to bottom: make lessons"
    for cell in lesson.code:
        assert not any(output.output_type == "error" for output in cell.outputs), cell.source
        assert not any(output.get("name") == "stderr" for output in cell.outputs), cell.source
    assert lesson.path.stat().st_size <= LARGER.get(lesson.name, LARGEST), f"{lesson.path.stat().st_size / 1000:.0f} kB"


def test_cells_are_plain_python_that_hides_nothing(lesson: Lesson) -> None:
    for cell in lesson.code:
        assert not cell.source.rstrip().endswith(";"), f"a trailing semicolon: {cell.source}"
        assert not re.search(r"^\s*[!%](?!=)", cell.source, re.M), f"a magic: {cell.source}"
        assert not re.search(r"except( (Base)?Exception)?\s*:", cell.source), (
            f"swallows exceptions (I65): {cell.source}"
        )


def test_figures_have_alt_text(lesson: Lesson) -> None:
    for cell in lesson.code:
        if any({"image/png", "image/svg+xml"} & output.get("data", {}).keys() for output in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 5, f"no alt text in {cell.source}"


def test_each_figure_has_a_caption_and_one_opens_the_lesson(lesson: Lesson) -> None:
    drawn = [cell for cell in lesson.code if any(PICTURES & output.get("data", {}).keys() for output in cell.outputs)]
    for cell in drawn:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        assert len(figure.get("caption", "").split()) >= 4 and figure.get("name", "").startswith("fig-"), cell.source
    assert sum("first-picture" in notebooks.tags(cell) for cell in drawn) == 1


def test_the_reader_does_something_in_each_part(lesson: Lesson) -> None:
    tries = sum("try" in notebooks.tags(cell) for cell in lesson.code)
    low, high = (1, 4) if lesson.is_chapter else (2, 6)
    assert low <= tries <= high, f"{tries} try cells"


def test_each_exercise_has_a_hint_and_a_solution_that_unfold(lesson: Lesson) -> None:
    _, *exercises = re.split(r"^```\{exercise\}", lesson.prose, flags=re.M)
    assert len(exercises) >= 2
    for text in exercises:
        assert re.findall(r"<summary>(\w+)</summary>", text) == ["Hint", "Solution"], text[:120]


def test_claims_are_proved_and_named_after_the_lesson(lesson: Lesson) -> None:
    named = first_arguments(lesson.calls("claim"))
    stored = {id: held for id, held, _ in notebooks.claims(lesson.notebook)}
    assert named, "a lesson claims something"
    assert list(stored) == named, "the stored outputs are not of this source: make lessons"
    assert all(stored.values()), stored
    topic = lesson.path.stem.split("_")[0] if not lesson.is_chapter else ""
    for id in named:
        assert id.startswith(f"{lesson.section}-{topic}"), f"{id} does not name section and lesson"


def test_stored_claims_read_as_the_source_says(lesson: Lesson) -> None:
    """As text and as the page shows them."""
    for number, call in lesson.calls("claim"):
        id, text, *_ = call.args
        if isinstance(text, ast.Constant):  # a text with figures in it is the run's
            box = Box("claim holds", f"✓ Claim {id.value}", text.value)
            wanted = {"text/plain": repr(box), "text/html": box._repr_html_()}
            assert wanted in [output.get("data") for output in lesson.code[number].outputs], "make lessons"


def test_stored_sources_are_those_of_the_package(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    """nbval says the same, an hour later."""
    shown = []
    monkeypatch.setattr("companion.lesson.display", lambda source: shown.append(source.data))
    names: dict = {}
    exec(lesson.code[0].source, names)
    for cell in lesson.code:
        for call in ast.walk(ast.parse(cell.source)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "show":
                with contextlib.suppress(NameError):  # it shows the class of what the lesson made
                    eval(compile(ast.Expression(call), lesson.name, "eval"), names)
        stored = [output.get("data", {}).get("text/markdown") for output in cell.outputs]
        assert not shown or [text for text in stored if text] == shown, f"make lessons: {cell.source}"
        shown.clear()


def test_what_nbval_ignores_is_followed_by_a_claim(lesson: Lesson) -> None:
    claimed = [number for number, _ in lesson.calls("claim")]
    for number, cell in enumerate(lesson.code[2:], 2):
        if "nbval-ignore-output" in notebooks.tags(cell):
            assert any(later > number for later in claimed), f"no claim after {cell.source}"
            assert "claim(" not in cell.source, "a claim's text is the same in every run: do not ignore it"


def test_every_number_glued_is_used_and_every_number_used_is_glued(lesson: Lesson) -> None:
    glued = first_arguments(lesson.calls("glue"))
    used = set(re.findall(r"\{glue:?\w*\}`([\w-]+)`", lesson.prose))
    assert set(glued) == used
    assert len(glued) == len(set(glued))


def test_cost_is_measured_and_within_the_limits(lesson: Lesson) -> None:
    row = json.loads(MEASURED.read_text(encoding="utf-8"))[lesson.name]
    assert row["claims"] == first_arguments(lesson.calls("claim")), "measured with other claims: make lessons"
    assert row["seconds"] <= seconds_allowed("nbval", lesson.name), row
    assert row["memory_mb"] <= MEMORY_MB, row
    assert row.get("sweep", {}).get("claims_held", 0) <= len(row["claims"]), "a sweep of other claims: make sweep"


def test_few_lessons_take_long_and_all_together_fit_into_their_time() -> None:
    names = {notebooks.name(path) for path in PATHS}
    assert names >= FLAGSHIPS | EXCEPTIONS.keys()
    assert not FLAGSHIPS & EXCEPTIONS.keys()
    chapters = Counter(name.split("/")[0] for name in FLAGSHIPS)
    assert max(chapters.values()) <= FLAGSHIPS_OF_A_CHAPTER
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert set(measured) == names
    assert sum(row["seconds"] for row in measured.values()) <= ALL_LESSONS


def test_names_are_unique_in_the_book() -> None:
    found = [read(path) for path in PATHS]
    for kind, names in {
        "claim": [id for one in found for id in first_arguments(one.calls("claim"))],
        "glue": [id for one in found for id in first_arguments(one.calls("glue"))],
        "equation": [id for one in found for id in re.findall(r"\$\$ ?\((eq-[\w-]+)\)", one.prose)],
        "figure": re.findall(r'"name": "(fig-[\w-]+)"', "".join(one.path.read_text(encoding="utf-8") for one in found)),
        "label": [id for one in found for id in re.findall(r"^\(([\w-]+)\)=$", one.prose, re.M)],
    }.items():
        twice = [id for id, count in Counter(names).items() if count > 1]
        assert not twice, f"two of the same {kind}: {twice}"


def test_measured_has_no_row_of_a_lesson_that_is_gone() -> None:
    assert set(json.loads(MEASURED.read_text(encoding="utf-8"))) == {notebooks.name(path) for path in PATHS}


def test_every_lesson_is_in_the_table_of_contents() -> None:
    contents = (notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8")
    for path in PATHS:
        assert f"book/{notebooks.name(path)}" in contents, f"{notebooks.name(path)} is not in _toc.yml"
