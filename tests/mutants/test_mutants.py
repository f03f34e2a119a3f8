"""The harness of the mutants: what it makes, what it leaves out, which tests it asks, and that it sees who survives."""

import json
from pathlib import Path

import pytest

from tests.mutants import __main__ as command
from tests.mutants import running
from tests.mutants.__main__ import again, keep, mutant_of, rates_by, report, try_all
from tests.mutants.mutations import Mutant, modules, mutants, sample
from tests.mutants.running import ROOT, BaselineFailed, Result, files_that_test

SOURCE = '''@wraps(maxsize=1)
def double(ü: int | None, n: "int" = 2) -> int | None:
    """Twice."""
    if ü is None or n < 1:
        return None
    return -ü * n * -1
'''
NOBODYS = """Data = list[str] | dict[str, int | None]


@functools.cache
def load(name: str) -> Data:
    raise KeyError(f"{name}: got {len(name) - 1}")
"""


def test_annotations_and_changes_that_raise_are_left_out() -> None:
    found = mutants("companion/x.py", SOURCE)
    assert {one.line for one in found} == {1, 2, 4, 6}
    assert {one.operator for one in found if one.line == 1} == {"core/RemoveDecorator"}
    assert {one.operator for one in found if one.line == 2} == {"core/NumberReplacer"}  # the default alone
    for one in found:
        changed = one.apply(SOURCE)
        compile(changed, "x", "exec")
        if one.line > 1:
            lines = enumerate(zip(SOURCE.splitlines(), changed.splitlines(), strict=True), 1)
            assert [number for number, (before, after) in lines if before != after] == [one.line]
        assert not any(bits in one.operator for bits in ("Shift", "Bit", "UAdd", "Invert"))
    assert len({one.apply(SOURCE) for one in found}) == len(found)


def test_types_caches_and_the_words_of_errors_are_left_out() -> None:
    assert mutants("companion/x.py", NOBODYS) == []
    assert mutants("companion/x.py", NOBODYS.replace("raise", "return").replace("cache", "wraps")) != []
    assert mutants("companion/x.py", "LIMIT = 2 | OTHER\n") != []


def test_a_sample_takes_each_place_once_and_is_the_same_for_one_seed() -> None:
    found = mutants("companion/x.py", SOURCE)
    drawn = sample(found, 4, seed=1)
    assert drawn == sample(found, 4, seed=1) != sample(found, 4, seed=2)
    every = sample(found, 1_000, seed=0)
    assert len({(one.line, one.column) for one in every}) == len(every) == len({(m.line, m.column) for m in found})


def test_the_files_that_test_a_module() -> None:
    assert files_that_test("companion/nn/norms.py")[0] == "tests/nn/test_norms.py"
    assert files_that_test("companion/foundations/distributions/mixtures.py")[0].endswith(
        "distributions/test_mixtures.py"
    )
    assert files_that_test("companion/validate/shapes.py") == ["tests/validate/test_shapes.py"]
    assert files_that_test("companion/nowhere/nothing.py") == []
    package = "companion/weights/__init__.py"
    assert any(name.startswith(("tests/weights", "tests/test_weights")) for name in files_that_test(package))
    for path in modules(ROOT):
        for name in files_that_test(path):
            assert (ROOT / name).is_file() and not name.startswith(("tests/exercises", "tests/book", "tests/lessons"))


def test_every_module_with_something_to_mutate_has_tests() -> None:
    without = [
        path for path in modules(ROOT) if not files_that_test(path) and mutants(path, (ROOT / path).read_text("utf-8"))
    ]
    assert not without


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module, whose test sees one of its two lines."""
    (tmp_path / "companion").mkdir()
    (tmp_path / "companion/__init__.py").touch()
    (tmp_path / "companion/sums.py").write_text(
        "def seen(a):\n    return a + 1\n\n\ndef unseen(a):\n    return a - 1\n"
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_sums.py").write_text(
        "from companion import sums\n\n\ndef test():\n    assert sums.seen(2) == 3 and sums.unseen(0)\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    monkeypatch.setattr(running, "ROOT", tmp_path)
    monkeypatch.setattr(running, "COPIES", tmp_path / "_build/mutants")
    monkeypatch.setattr(running, "COPIED", ("companion", "tests", "pyproject.toml"))
    return tmp_path


def of_project(project: Path) -> list[Mutant]:
    return mutants("companion/sums.py", (project / "companion/sums.py").read_text())


@pytest.mark.slow
def test_a_mutant_dies_of_its_test_and_the_working_tree_is_never_touched(project: Path) -> None:
    before = {path: path.read_bytes() for folder in ("companion", "tests") for path in (project / folder).rglob("*.py")}
    chosen = [one for one in of_project(project) if one.operator.endswith(("Add_Sub", "Sub_Add"))]
    results = try_all(chosen, 1, "not slow")
    outcomes = {(one.mutant.line, one.diff): one.outcome for one in results}
    assert outcomes[2, "-    return a + 1\n+    return a - 1"] == "killed"
    assert outcomes[6, "-    return a - 1\n+    return a + 1"] == "survived"
    assert all(one.seconds > 0 for one in results)
    assert {path: path.read_bytes() for path in before} == before
    assert (project / "_build/mutants/0/companion/sums.py").read_text() == before[
        project / "companion/sums.py"
    ].decode()


@pytest.mark.slow
def test_failing_tests_say_nothing_about_a_mutant(project: Path) -> None:
    (project / "tests/test_sums.py").write_text("from companion import sums\n\n\ndef test():\n    assert False\n")
    with pytest.raises(BaselineFailed):
        try_all(of_project(project)[:1], 1, "not slow")


@pytest.mark.slow
def test_a_fork_that_fails_by_itself_kills_no_mutant(project: Path) -> None:
    (project / "tests/test_sums.py").write_text(
        "import os\nfrom companion import sums\n\n\ndef test():\n    assert sums and os.getsid(0) != os.getpid()\n"
    )
    with pytest.raises(BaselineFailed, match="in a fork"):
        try_all(of_project(project)[:1], 1, "not slow")


def test_rates_and_the_table_of_the_status_page(tmp_path: Path) -> None:
    def result(path: str, line: int, outcome: str) -> Result:
        return Result(Mutant(path, line, 0, "core/NumberReplacer", 0), outcome, 1.0, f"-{line}\n+{line + 1}")

    results = [
        result("companion/nn/a.py", 1, "killed"), result("companion/nn/b.py", 2, "survived"),
        result("companion/text/c.py", 3, "untested"),
    ]  # fmt: skip
    assert rates_by(results, "room") == {"companion/nn": (1, 2), "companion/text": (0, 1), "all": (1, 3)}
    assert "companion/nn/b.py:2  survived\n-2\n+3" in report(results) and "a.py:1" not in report(results)
    keep(results, 7, tmp_path / "mutants.json")
    table = json.loads((tmp_path / "mutants.json").read_text())
    assert table["seed"] == 7 and table["rooms"]["all"] == {"killed": 1, "mutants": 3}
    assert [row["line"] for row in table["survivors"]] == [2, 3]
    table["survivors"][0]["why"] = "the same number"
    (tmp_path / "mutants.json").write_text(json.dumps(table))
    keep(results, 8, tmp_path / "mutants.json")
    assert [r["why"] for r in json.loads((tmp_path / "mutants.json").read_text())["survivors"]] == [
        "the same number",
        "",
    ]


def test_a_kept_survivor_is_found_again_where_its_line_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "companion").mkdir()
    module = tmp_path / "companion/sums.py"
    module.write_text("# moved\n\n\ndef unseen(a):\n    return a - 1\n")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    diff = "-    return a - 1\n+    return a + 1"
    row = {"path": "companion/sums.py", "line": 2, "diff": diff}
    found = mutant_of(row)
    assert found.line == 5 and running.difference(module.read_text(), found.apply(module.read_text())) == diff
    module.write_text(module.read_text() * 3)
    assert [mutant_of(row | {"line": line}).line for line in (1, 9, 14)] == [5, 10, 15]
    assert mutant_of(row | {"diff": diff.replace("a -", "b -")}) is None
    assert mutant_of(row | {"path": "companion/gone.py"}) is None


def test_survivors_tried_again_leave_the_table_if_they_die_or_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"path": f"companion/nn/{name}.py", "line": 1, "diff": f"-{name}", "why": "w"}
        for name in ("dies", "lives", "gone")
    ]
    rooms = {name: {"killed": 7, "mutants": 10} for name in ("companion/nn", "all")}
    file = tmp_path / "mutants.json"
    file.write_text(json.dumps({"run": "", "seed": 0, "rooms": rooms, "survivors": rows}))
    made = {row["path"]: Mutant(row["path"], 1, 0, "x", 0) for row in rows[:2]}
    monkeypatch.setattr(command, "mutant_of", lambda row: made.get(row["path"]))
    outcome = {"companion/nn/dies.py": "killed", "companion/nn/lives.py": "survived"}
    monkeypatch.setattr(
        command,
        "try_all",
        lambda found, jobs, marks: [Result(one, outcome[one.path], 1.0, f"-{Path(one.path).stem}") for one in found],
    )
    again(1, "not slow", file)
    table = json.loads(file.read_text())
    assert [row["path"] for row in table["survivors"]] == ["companion/nn/lives.py"]
    assert table["rooms"] == {name: {"killed": 8, "mutants": 9} for name in ("companion/nn", "all")}
