"""What a notebook needs of the package: set-up, budget, claims, source code on the page, measured costs.

A lesson begins with ``run = setup("3_03_foundations/attention", SEED, BUDGET)`` and then says what it does by
`Lesson.pick`, `claim`, `show`, `predicted` and `glue`.
"""

import ast
import contextlib
import html
import inspect
import json
import os
import random
import re
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from IPython.display import Markdown, display

from companion.console import write_anything
from companion.plotting import use_style
from companion.training.distributed import join, local_device
from companion.validate import check_choice, check_count

BUDGETS = ("smoke", "laptop", "workstation")
T = TypeVar("T")
_current: "Lesson | None" = None


class ClaimFailed(AssertionError):
    """What the lesson says about its result does not hold in this run."""


@dataclass(frozen=True)
class Lesson:
    """One run of a lesson: which budget, which seed, on what.

    Attributes:
        name: the notebook's path below ``book/``, without the ending.
        seed: where all of the run's randomness starts.
        budget: ``"smoke"`` (seconds), ``"laptop"`` (what the book shows) or ``"workstation"``.
        device: where the tensors live; the CPU unless ``COMPANION_DEVICE`` names another.
    """

    name: str
    seed: int
    budget: str
    device: torch.device

    def pick(self, *, smoke: T, laptop: T, workstation: T) -> T:
        """The value for this run's budget: ``steps = run.pick(smoke=20, laptop=1_500, workstation=60_000)``."""
        return {"smoke": smoke, "laptop": laptop, "workstation": workstation}[self.budget]

    def to(self, *things: Any) -> Any:
        """Tensors, models and data sets on the run's device: ``model, x = run.to(model, x)``; a single one as itself."""
        moved = tuple(thing.to(self.device) for thing in things)
        return moved[0] if len(moved) == 1 else moved

    def clock(self) -> float:
        """Seconds on a clock that is read when the device has done all that it was given; for differences."""
        if self.device.type in ("cuda", "mps", "xpu"):
            torch.get_device_module(self.device).synchronize()
        return time.perf_counter()

    def generator(self, offset: int = 0) -> torch.Generator:
        """A CPU generator whose stream depends on the run's seed and on ``offset`` alone, so on no device.

        `companion.training.random` draws with it for any device.
        """
        check_count("offset", offset, low=0, high=1_000_002)
        return torch.Generator().manual_seed(self.seed * 1_000_003 + offset)


def setup(name: str, seed: int, budget: str) -> Lesson:
    """Start a lesson: seed every generator, fix the threads, choose the device, show what the lesson costs.

    One thread unless ``COMPANION_THREADS`` says otherwise: models of this size gain little from a second, and lose much by
    it as soon as another program wants the core. The CPU unless ``COMPANION_DEVICE`` names another device.

    Args:
        name: the notebook's path below ``book/``, without the ending, such as ``"3_03_foundations/losses"``.
        seed: a whole number from 0.
        budget: one of ``"smoke"``, ``"laptop"``, ``"workstation"``.

    Raises:
        ValueError: a negative seed, an unknown budget, or a number of threads or a device that is none.
    """
    global _current
    check_count("SEED", seed, low=0, high=2**31 - 1)
    check_choice("BUDGET", budget, BUDGETS)
    threads, device = os.environ.get("COMPANION_THREADS", "1"), os.environ.get("COMPANION_DEVICE", "cpu")
    if not threads.isdecimal() or int(threads) == 0:
        raise ValueError(f"COMPANION_THREADS: got {threads!r}, wanted a whole number of at least 1")
    # The last: a backend that extends torch (https://docs.pytorch.org/docs/stable/accelerator), under the name that it took.
    extension = torch._C._get_privateuse1_backend_name()
    if device.partition(":")[0] not in {"cpu", "cuda", "mps", "xpu", extension} - {"privateuseone"}:
        raise ValueError(f"COMPANION_DEVICE: got {device!r}, wanted one such as 'cpu', 'cuda', 'cuda:1' or 'mps'")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  some libraries draw from the legacy generator
    torch.manual_seed(seed)
    torch.set_num_threads(int(threads))
    use_style()
    write_anything()
    _current = Lesson(name, seed, budget, local_device(device))
    display(cost_box(_measured(name), budget, seed))
    return _current


def run_as_program(notebook: Path, *, seed: int, budget: str) -> dict[str, Any]:
    """Run a lesson's cells one after the other, without a kernel, and return what they defined.

    Under ``torchrun`` every process runs the whole lesson and what it trains is shared between them; the first one prints.

    Args:
        notebook: the lesson's file.
        seed: replaces the lesson's ``SEED``.
        budget: replaces its ``BUDGET``.

    Raises:
        ValueError: no cell is tagged ``parameters``.
    """
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    if not any("parameters" in cell["metadata"].get("tags", ()) for cell in cells):
        raise ValueError(f"{notebook}: got no cell tagged 'parameters', wanted a lesson")
    rank, _ = join()
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(None) if rank else contextlib.nullcontext():
        for number, cell in enumerate(cells):
            exec(compile("".join(cell["source"]), f"{notebook}, code cell {number}", "exec"), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                names |= {"SEED": seed, "BUDGET": budget}
    return names


def claim(id: str, text: str, holds: bool | np.bool_ | torch.Tensor, *, exact: bool = False) -> None:
    """State a result in words and prove it: print whether it holds, and stop the run if it does not.

    Under the ``smoke`` budget nothing is trained long enough to be good, so a claim about quality is stated there but
    not judged. A claim that no training can change (an identity, a closed form) is ``exact`` and judged always.

    Args:
        id: a name that is unique in the book: section, lesson, letter: ``"3.3-attention-a"``.
        text: the claim as a sentence of the lesson; numbers that vary from run to run do not belong in it.
        holds: the measured condition.

    Raises:
        ClaimFailed: the claim is judged and does not hold.
        ValueError: ``holds`` is not a truth value (a tensor of several, say).
        RuntimeError: no lesson has been set up.
    """
    if _current is None:
        raise RuntimeError("claim: no lesson is running, call setup(...) first")
    if not isinstance(holds, (bool, np.bool_)):
        if not (isinstance(holds, torch.Tensor) and holds.numel() == 1 and holds.dtype == torch.bool):
            raise ValueError(f"claim {id}: got {type(holds).__name__}, wanted one truth value; use .all() or .any()")
        holds = bool(holds)
    if _current.budget == "smoke" and not exact:
        display(Box("claim unjudged", f"– Claim {id}", f"{text} (Not judged at this budget.)"))
    elif holds:
        display(Box("claim holds", f"✓ Claim {id}", text))
    else:
        raise ClaimFailed(f"claim {id} does not hold in this run: {text}")


def predicted(prediction: Any, measured: Any, form: str = "{}") -> None:
    """Put the reader's prediction beside what was measured: ``predicted(prediction, share, "{:.0%}")``.

    Args:
        prediction: from a cell tagged ``predict`` above; ``...`` was not written.
        form: how both are written, as for `str.format`; a prediction of another type is written as it is.
    """
    found = f"Measured: {form.format(measured)}."
    if prediction is ...:
        display(Box("predict", "Your prediction", f"Not written. {found}"))
        return
    try:
        said = form.format(prediction)
    except (TypeError, ValueError):  # "much more" is a prediction too
        said = str(prediction)
    display(Box("predict", "Your prediction", f"{said}. {found}"))


def show(*objects: Callable | type) -> None:
    """Put the source of functions or classes of the package on the page, highlighted: without docstrings and ``@checked``.

    The book therefore prints the code that ran: a page whose stored source differs from the package's fails its test.

    Raises:
        ValueError: the source of an object cannot be found.
    """
    for item in objects:
        try:
            source = textwrap.dedent(inspect.getsource(item))
        except (OSError, TypeError) as error:
            raise ValueError(f"show: got {item!r}, wanted a function or class of the package") from error
        where = item.__module__.replace(".", "/") + ".py"
        display(Markdown(f"```python\n# {where}\n{_algorithm(source)}\n```"))


def glue(name: str, value: Any, form: str = "{}") -> None:
    """Hand a measured value to the prose: ``glue("accuracy", 0.987, "{:.1%}")`` is read by ``{glue}`accuracy```.

    Args:
        form: how the value is written, as for `str.format`.
    """
    # MyST-NB's format of a glued output, written without it: a lesson needs no Sphinx, and its import takes two seconds.
    prefix = "application/papermill.record/"
    about = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({f"{prefix}text/plain": _as_written(form.format(value))}, raw=True, metadata=about)


def _as_written(text: str) -> str:
    """MyST-NB reads a glued text as a Python literal, which makes a pair of "1,748" and 0.7 of "+0.70"; in quotes it stays."""
    with contextlib.suppress(SyntaxError, ValueError):
        return text if str(ast.literal_eval(text)) == text else repr(text)
    return text


@dataclass(frozen=True)
class Box:
    """A framed line of the page; its look is in the book's style sheet, its text alone reads well in a terminal."""

    kind: str
    head: str
    text: str

    def __repr__(self) -> str:
        return f"{self.head}: {self.text}"

    def _repr_html_(self) -> str:
        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.text))
        return (
            f'<div class="lesson-box {self.kind}"><strong>{html.escape(self.head)}</strong> <span>{text}</span></div>'
        )


def cost_box(row: dict | None, budget: str, seed: int) -> Box:
    """The box at a lesson's top: what `make lessons` measured (seconds, megabytes), and what this run is."""
    head = "Not measured yet"
    if row is not None:
        head = f"{row['seconds']:.0f} s and {row['memory_mb'] / 1000:.1f} GB on one core"
    return Box("measured", head, f"This run: budget “{budget}”, seed {seed}.")


def _measured(name: str) -> dict | None:
    """This lesson's row of ``measured.json``, which stands beside the lessons; None outside the book's folder."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        table = folder / "measured.json"
        if table.is_file():
            return json.loads(table.read_text(encoding="utf-8")).get(name)
    return None


def _algorithm(source: str) -> str:
    """The source without docstrings and without the decorator that checks arguments: what is left is what it does."""
    lines = source.rstrip().splitlines()
    tree = ast.parse(source)
    drop: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        drop.update(d.lineno for d in node.decorator_list if isinstance(d, ast.Name) and d.id == "checked")
        if ast.get_docstring(node) is not None and len(node.body) > 1:  # nothing but a docstring: keep it
            doc = node.body[0]
            drop.update(range(doc.lineno, doc.end_lineno + 1))
            if doc.end_lineno < len(lines) and not lines[doc.end_lineno].strip():
                drop.add(doc.end_lineno + 1)
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in drop)
