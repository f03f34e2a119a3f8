"""The runner itself: what must fail does, and nothing is half-written."""

import base64
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tests.lessons import notebooks, running
from tests.lessons.__main__ import LIMITS, TOLERANCE, _within, seconds_allowed

HANGS = 600  # seconds: far above what a cell takes here on a busy machine
GIVEN = 'SEED = 0\nBUDGET = "laptop"\n'
PARAMETERS = f"from companion.lesson import claim, setup\n\n{GIVEN}"


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty book of which the runner knows nothing else."""
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.setattr(notebooks, "BOOK", folder)
    monkeypatch.setattr(running, "MEASURED", folder / "measured.json")
    monkeypatch.setattr(running, "RUNS", tmp_path / "runs.json")
    return folder


def write(book: Path, *sources: str, parameters: str = PARAMETERS) -> Path:
    cells = [
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell('run = setup("one", SEED, BUDGET)', metadata={"tags": ["nbval-ignore-output"]}),
        *map(nbformat.v4.new_code_cell, sources),
    ]
    path = book / "one.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def test_lessons_are_found_by_glob_and_exercises_are_not(book: Path) -> None:
    for name in ("3_03.ipynb", "3_03/a.ipynb", "exercises/x/x.ipynb", "assignments/x/x.ipynb", "3_01.ipynb"):
        (book / name).parent.mkdir(parents=True, exist_ok=True)
        (book / name).touch()
    assert [notebooks.name(p) for p in notebooks.lessons()] == ["3_01", "3_03", "3_03/a"]
    assert [notebooks.name(p) for p in notebooks.lessons("3_03/")] == ["3_03/a"]
    with pytest.raises(SystemExit, match="no lesson matches '3_99'; there are: 3_01, 3_03, 3_03/a"):
        notebooks.lessons("3_99")


@pytest.mark.slow
def test_execute_stores_outputs_claims_and_cost(book: Path) -> None:
    path = write(book, "print(SEED, run.budget)", 'claim("3.3-one-a", "One is one.", True)')
    running.execute(path, HANGS)
    stored = notebooks.read(path)
    row = json.loads(running.MEASURED.read_text())["one"]
    assert list(notebooks.claims(stored)) == [("3.3-one-a", True, "One is one.")]
    assert row["claims"] == ["3.3-one-a"]
    assert row["seconds"] > 0
    assert row["memory_mb"] > 50
    assert f"{row['seconds']:.0f} s and" in stored.cells[1].outputs[0].data["text/plain"]
    assert stored.cells[2].outputs[0].text == "0 laptop\n"
    before = path.read_text()
    running.nbval(path, HANGS)  # the same again: no difference
    path.write_text(before.replace("0 laptop", "1 laptop"))
    with pytest.raises(running.LessonFailed, match="nbval found differences"):
        running.nbval(path, HANGS)


@pytest.mark.slow
def test_a_failing_lesson_is_left_as_it_was(book: Path) -> None:
    path = write(book, 'claim("3.3-one-a", "One is two.", False)')
    before = path.read_text()
    with pytest.raises(running.LessonFailed, match="claim 3.3-one-a does not hold in this run: One is two"):
        running.execute(path, HANGS)
    assert path.read_text() == before
    assert not running.MEASURED.exists()


@pytest.mark.slow
def test_smoke_sets_both_parameters(book: Path) -> None:
    path = write(book, 'claim("3.3-one-a", "Not judged at smoke.", False)')
    assert running.smoke(path, HANGS).seconds > 0
    assert "smoke" in json.loads(running.RUNS.read_text())["one"]


@pytest.mark.slow
def test_a_parameter_that_is_assigned_again_is_an_error(book: Path) -> None:
    """Papermill would run the notebook with its own value and only warn."""
    path = write(book, parameters=PARAMETERS)
    source = notebooks.read(path)
    source.cells[1].source = 'SEED = 0\nrun = setup("one", SEED, BUDGET)'
    nbformat.write(source, path)
    with pytest.raises(running.LessonFailed, match="the parameters did not reach setup"):
        running.smoke(path, HANGS)


@pytest.mark.parametrize("parameters", ["SEED = 0", 'BUDGET = "laptop"\nSEEED = 0'])
def test_a_missing_parameter_is_an_error(book: Path, parameters: str) -> None:
    path = write(book, parameters=parameters)
    with pytest.raises(running.LessonFailed, match="in a cell tagged 'parameters'"):
        running.smoke(path, HANGS)


def test_a_missing_parameters_cell_is_an_error(book: Path) -> None:
    path = write(book)
    untagged = notebooks.read(path)
    untagged.cells[0].metadata = {}
    nbformat.write(untagged, path)
    with pytest.raises(running.LessonFailed, match="no BUDGET, SEED in a cell tagged 'parameters'"):
        running.smoke(path, HANGS)


@pytest.mark.slow
def test_a_lesson_that_reaches_for_the_network_fails(book: Path) -> None:
    path = write(book, parameters=GIVEN + "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)")
    with pytest.raises(running.LessonFailed, match="a lesson tried to reach 192.0.2.1"):
        running.smoke(path, HANGS)


@pytest.mark.slow
def test_a_lesson_that_hangs_is_stopped(book: Path) -> None:
    path = write(book, parameters=GIVEN + "import time\ntime.sleep(3600)")
    with pytest.raises(running.LessonFailed, match="(?s)timed out|Timeout"):
        running.smoke(path, 3)


def test_a_lesson_over_its_limit_is_an_error(book: Path) -> None:
    path = write(book)
    slow, large = running.Cost(9, 100, TOLERANCE * LIMITS["smoke"] + 1), running.Cost(1, 1501, 1)
    with pytest.raises(running.LessonFailed, match="took 91 s of the processor, wanted at most 90 s"):
        _within("smoke", path, slow)
    with pytest.raises(running.LessonFailed, match="took 1501 MB, wanted at most 1500 MB"):
        _within("smoke", path, large)
    assert _within("smoke", path, running.Cost(99, 1400, 14)).seconds == 99  # waiting for others is no fault


def test_a_sweep_is_forgotten_with_the_claims_that_it_swept(tmp_path: Path) -> None:
    table = tmp_path / "measured.json"
    running.merge(table, "one", {"claims": ["a"], "seconds": 3})
    running.merge(table, "one", {"sweep": {"seeds": 3, "claims_held": 1}})
    running.merge(table, "one", {"claims": ["a"], "seconds": 4})
    assert json.loads(table.read_text())["one"]["sweep"]["claims_held"] == 1
    running.merge(table, "one", {"claims": ["a", "b"], "seconds": 5})
    assert json.loads(table.read_text())["one"] == {"claims": ["a", "b"], "seconds": 5}


def test_what_a_lesson_may_take() -> None:
    assert [seconds_allowed(action, "3_06_image/none") for action in LIMITS] == [15, 90]
    assert [seconds_allowed(action, "3_06_image/ddpm") for action in LIMITS] == [15, 120]
    assert [seconds_allowed(action, "3_02_history/eras") for action in LIMITS] == [15, 120]


def test_memory_of_a_child_is_seen_that_began_late() -> None:
    with running.measured() as cost:
        time.sleep(0.5)
        subprocess.run([sys.executable, "-c", "x = bytearray(300_000_000); import time; time.sleep(2)"], check=True)
    assert 280 < cost.memory_mb < 600


def test_processor_time_of_a_child_is_seen_and_waiting_is_none() -> None:
    busy = "import time; end = time.process_time() + 1\nwhile time.process_time() < end: pass"
    for code, low, high in ((busy, 0.6, 1.6), ("import time; time.sleep(1)", 0.0, 0.3)):
        with running.measured() as cost:
            subprocess.run([sys.executable, "-c", code], check=True)
        assert low <= cost.cpu_seconds <= high


def test_a_stored_figure_keeps_how_many_points_an_inch_has() -> None:
    made = io.BytesIO()
    Image.effect_noise((64, 48), 50).save(made, "PNG", dpi=(220, 220))
    small = Image.open(io.BytesIO(base64.b64decode(running.small_png(base64.b64encode(made.getvalue()).decode()))))
    assert small.size == (64, 48) and round(small.info["dpi"][0]) == 220
