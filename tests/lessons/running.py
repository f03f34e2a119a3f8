"""Running one notebook: papermill, nbval or in place, with its wall time and peak memory."""

import base64
import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import papermill
import psutil
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from companion.lesson import cost_box
from tests.lessons.notebooks import BOOK, ROOT, claims, code_cells, name, read

START_SECONDS = 600  # for a kernel to start, on however busy a machine
MEASURED = BOOK / "measured.json"
RUNS = ROOT / "_build" / "runs.json"
_LOCK = threading.Lock()


class LessonFailed(Exception):
    """A lesson does not run, or not as it should; the message is for the person who runs it."""


@dataclass
class Cost:
    """What a run took of the machine.

    Attributes:
        seconds: wall time.
        memory_mb: the most memory that its processes held at once.
        cpu_seconds: the processor's time in its processes: the same also on a machine that others use.
    """

    seconds: float = 0.0
    memory_mb: float = 0.0
    cpu_seconds: float = 0.0


@contextlib.contextmanager
def measured(pid: int | None = None) -> Iterator[Cost]:
    """Measure what happens inside; the memory is that of the children of ``pid`` (of this process if not given)."""
    cost, done, started = Cost(), threading.Event(), time.perf_counter()
    parent, used = psutil.Process(pid), {}

    def watch() -> None:
        children = []
        for look in itertools.count():
            if done.wait(0.1):
                return
            total = 0
            if look % 10 == 0:  # to look for new ones takes thirty times as long as to ask those that are known
                with contextlib.suppress(psutil.NoSuchProcess):
                    children = parent.children(recursive=True)
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += child.memory_info().rss
                    times = child.cpu_times()
                    used[child.pid] = times.user + times.system
            cost.memory_mb = max(cost.memory_mb, total / 2**20)
            cost.cpu_seconds = sum(used.values())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield cost
    finally:
        done.set()
        watcher.join()
        cost.seconds = time.perf_counter() - started


# glibc gives a large tensor's memory back to the system when it is freed, and the next one waits until the system has wiped as
# much: a quarter of the time of some lessons. Not for `execute`, which measures what a reader's own run takes.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**30)}


def kernel_environment(device: str | None = None) -> dict[str, str]:
    """What a kernel needs so that its run can be stored: no network, no progress bars, no debugger's warnings.

    Args:
        device: where the lesson computes if not where the caller would; ``"pretend"`` is `pretend_device`.
    """
    here = Path(__file__).parent
    paths = [str(here / "offline"), *([str(here / "pretend")] if device == "pretend" else [])]
    return (
        os.environ
        | ({"COMPANION_DEVICE": device} if device else {})
        | {
            "PYTHONPATH": os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH", "")])),
            "TQDM_DISABLE": "1",
            "COMPANION_KEEP": "",  # what a reader has kept must not show in a stored page, nor a run overwrite it
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "JUPYTER_PLATFORM_DIRS": "1",
        }
    )


def execute(path: Path, timeout: int) -> Cost:
    """Run a notebook in place, top to bottom, and store its outputs; it is left as it was if a cell fails."""
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=timeout, startup_timeout=START_SECONDS, kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    try:
        with measured() as cost:
            client.execute(env=kernel_environment())
    except (CellExecutionError, DeadKernelError, CellTimeoutError) as error:
        raise LessonFailed(f"{name(path)}: {error}") from error
    row = {
        # What other programs make it wait for is not the lesson's cost.
        "seconds": round(min(cost.seconds, cost.cpu_seconds), 1),
        "memory_mb": round(cost.memory_mb),
        "claims": [id for id, _, _ in claims(notebook)],
        "run": time.strftime("%Y-%m-%d"),
    }
    merge(MEASURED, name(path), row)
    _tidy(notebook, row)
    _write(path, nbformat.writes(notebook) + "\n")
    return cost


def smoke(path: Path, timeout: int, *, seed: int = 1) -> Cost:
    """Run a copy by papermill at the ``smoke`` budget with another seed, on a device that is as strict as a GPU."""
    cost, copy = parametrised(path, seed, "smoke", ROOT / "_build" / "smoke", timeout, "pretend")
    said = [cell.outputs[0].get("data", {}).get("text/plain", "") for cell in code_cells(copy) if cell.outputs][:1]
    if not said or f"budget “smoke”, seed {seed}" not in said[0]:
        raise LessonFailed(f"{name(path)}: the parameters did not reach setup(...); it said {said}")
    merge(RUNS, name(path), {"smoke": vars(cost)})
    return cost


def parametrised(
    path: Path, seed: int, budget: str, folder: Path, timeout: int, device: str | None = None
) -> tuple[Cost, nbformat.NotebookNode]:
    """Run a copy of a notebook by papermill with other parameters, in a process of its own.

    Papermill only warns when the cell tagged ``parameters`` or one of the names is missing, and the notebook's own
    value then wins: here both are errors.
    """
    missing = {"SEED", "BUDGET"} - set(papermill.inspect_notebook(str(path)))
    if missing:
        raise LessonFailed(f"{name(path)}: no {', '.join(sorted(missing))} in a cell tagged 'parameters'")
    target = folder / f"{name(path)}.seed{seed}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    cost, output = _run(
        "papermill", str(path), str(target), "-p", "SEED", str(seed), "-p", "BUDGET", budget, "--cwd", str(path.parent),
        "--start-timeout", str(START_SECONDS),
        "--kernel", "python3", "--no-progress-bar", "--no-request-save-on-cell-execute", "--autosave-cell-every", "0",
        "--execution-timeout", str(timeout), device=device,
    )  # fmt: skip
    if cost is None:
        raise LessonFailed(f"{name(path)}: fails at {budget} with seed {seed}\n{output[-4000:]}")
    notebook = read(target)
    cost.seconds = notebook.metadata.papermill.duration  # the notebook's own time, without papermill's start
    return cost, notebook


def nbval(path: Path, timeout: int) -> Cost:
    """Run a notebook again and compare each output with the stored one, except in cells tagged nbval-ignore-output."""
    cost, output = _run(
        "pytest", "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={timeout}",
        f"--nbval-kernel-startup-timeout={START_SECONDS}", "-q", "-p", "no:cacheprovider",
        "-c", str(Path(__file__).parent / "nbval.ini"), "--rootdir", str(ROOT), str(path),
    )  # fmt: skip
    if cost is None:
        raise LessonFailed(f"{name(path)}: nbval found differences\n{output[-6000:]}")
    merge(RUNS, name(path), {"nbval": vars(cost)})
    return cost


def _run(module: str, *arguments: str, device: str | None = None) -> tuple[Cost | None, str]:
    """Run ``python -m module``; its cost if it succeeded, and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=kernel_environment(device) | KEPT, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        with measured(process.pid) as cost:
            output, _ = process.communicate()
    return (cost if process.returncode == 0 else None), output


def merge(table: Path, key: str, row: dict) -> None:
    """Put fields into one row of a JSON table, which is replaced in one move; a sweep of other claims is forgotten."""
    with _LOCK:
        rows = json.loads(table.read_text()) if table.is_file() else {}
        before = rows.get(key, {})
        if "claims" in row and row["claims"] != before.get("claims"):
            before.pop("sweep", None)
        rows[key] = before | row
        _write(table, json.dumps(dict(sorted(rows.items())), indent=1, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _tidy(notebook: nbformat.NotebookNode, row: dict) -> None:
    """Keep what the page needs: no time stamps, no stderr, cell ids that do not change, this run's cost in the box."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = small_png(output.data["image/png"])
    # The box was shown before its run was measured.
    box = cost_box(row, "laptop", 0)
    code_cells(notebook)[1].outputs[0].data = {"text/plain": repr(box), "text/html": box._repr_html_()}


def small_png(encoded: str) -> str:
    """A figure with at most 128 colours: about a quarter of the bytes, and hardly a difference that one sees in a plot.

    127 are means of clusters, so pale grounds of a grid of pictures stay apart, which an octree's few cubes of colours may not
    keep; white stays white. The clusters are done when fewer than a thousand points still move to another one.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    small, points = io.BytesIO(), {"dpi": picture.info["dpi"]} if "dpi" in picture.info else {}
    colours = picture.convert("RGB")
    indices = colours.quantize(127, Image.Quantize.MAXCOVERAGE, kmeans=1_000, dither=Image.Dither.NONE)
    indices.putpalette([*indices.getpalette()[: 3 * 127], 255, 255, 255])
    indices.paste(len(indices.getpalette()) // 3 - 1, mask=Image.fromarray(np.asarray(colours).min(2) == 255))
    indices.save(small, "PNG", optimize=True, **points)
    return min(encoded, base64.b64encode(small.getvalue()).decode(), key=len)
