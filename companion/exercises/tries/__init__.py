"""Try cells: a stub of one to five lines in a lesson, which the reader fills in and the page goes on with.

A lesson writes ``attend = attempt("3.3-attention-1", attend)``. Left as it is, the stub gives way to the course's function.
Filled in, it is called on fresh inputs beside the course's: if it is right, the page goes on with the reader's own. A module of
this package for each lesson, of the lesson's name, holds its tries in ``TRIES``.
"""

import dis
import functools
import importlib
import json
import pkgutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from types import CodeType
from typing import Any

import torch
from IPython.display import display
from torch import Tensor

from companion.exercises.answers import Answer, Wrong, contained, plain
from companion.exercises.checking import compare
from companion.lesson import Box
from companion.validate import check_choice
from companion.weights.kept import readers_folder

__all__ = ["Try", "all_tries", "attempt", "progress"]

_EMPTY = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "COPY_FREE_VARS"}


@dataclass(frozen=True)
class Try:
    """What a try cell asks for.

    Attributes:
        id: section, lesson and number: ``"3.3-attention-1"``.
        call: the function's name and arguments: ``"attend(q, k, v)"``.
        course: the course's function.
        cases: ``cases(generator)``, fresh inputs: the arguments of some calls.
        mistakes: functions that make a usual mistake, by its name.
    """

    id: str
    call: str
    course: Callable[..., Any]
    cases: Callable[[torch.Generator], Sequence[tuple[Any, ...]]]
    mistakes: Mapping[str, Callable[..., Any]]


def attempt(id: str, function: Callable[..., Any], *, seed: int | None = None) -> Callable[..., Any]:
    """The reader's function if it is right, else the course's; a box on the page says which, and why.

    Args:
        id: of the try.
        function: as the reader's cell defines it; a body of ``...`` was not tried.
        seed: of the inputs; new ones in each call unless given.

    Raises:
        ValueError: an unknown try, or not a function.
    """
    tries = all_tries()
    check_choice("id", id, tries)
    asked = tries[id]
    answer = Answer(function, asked.call)
    name = asked.call.partition("(")[0]
    if _is_stub(function):
        display(Box("try", f"Try {id}", f"Not tried: going on with the course's {name}."))
        return asked.course
    try:
        count = _examine(asked, answer, SystemRandom().randrange(100_000) if seed is None else seed)
    except Wrong as wrong:
        _record(id, holds=False)
        why = f"{wrong.what}{f' (likely mistake: {wrong.mistake})' if wrong.mistake else ''}"
        display(Box("try", f"✗ Try {id}", f"{why}. Going on with the course's {name}."))
        return asked.course
    _record(id, holds=True)
    display(Box("try holds", f"✓ Try {id}", f"Right on {count} fresh inputs: going on with your {name}."))
    return function


def progress() -> dict[str, bool | None]:
    """Every try of the course in order: True if the reader's last version of it was right, None if there is none."""
    tried = _recorded()
    return {id: tried[id]["holds"] if id in tried else None for id in all_tries()}


@functools.cache
def all_tries() -> dict[str, Try]:
    """Every try by its id, in order, from the ``TRIES`` of every module of this package."""
    found: dict[str, Try] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for one in importlib.import_module(module.name).TRIES:
            if one.id in found:
                raise ValueError(f"id: got {one.id!r} twice, wanted one name for one try")
            found[one.id] = one
    return dict(
        sorted(found.items(), key=lambda item: ([int(part) for part in item[0].split("-")[0].split(".")], item))
    )


def _examine(asked: Try, answer: Answer, seed: int) -> int:
    """Call both functions on the same inputs; how many calls agreed, or `Wrong`."""
    with contained(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cases = asked.cases(torch.Generator().manual_seed(seed))
        for case in cases:
            wanted = asked.course(*case)
            mistaken = {name: wrong(*case) for name, wrong in asked.mistakes.items()}
            _agree(answer, case, wanted, mistaken)
    return len(cases)


def _agree(answer: Answer, case: tuple[Any, ...], wanted: Any, mistaken: Mapping[str, Any]) -> None:
    if isinstance(wanted, Tensor) and wanted.is_floating_point():
        close = {name: value for name, value in mistaken.items() if isinstance(value, Tensor)}
        by_shape = [name for name, value in close.items() if value.shape != wanted.shape]
        try:
            compare(answer.tensor(*case, shape=tuple(wanted.shape)), wanted, close)
        except Wrong as wrong:
            got = answer(*case)
            named = [name for name in by_shape if isinstance(got, Tensor) and _equal(got, close[name])]
            raise Wrong(wrong.what, named[0] if named else wrong.mistake) from None
        return
    got = answer(*case)
    if not _equal(got, wanted):
        name = next((name for name, value in mistaken.items() if _equal(got, value)), "")
        raise Wrong(f"got {_short(got)}, wanted {_short(wanted)}", name)


def _equal(got: Any, wanted: Any) -> bool:
    """The same, apart from rounding and from the type of a number or list."""
    got, wanted = plain(got), plain(wanted)
    if isinstance(wanted, (list, tuple)):
        alike = isinstance(got, (list, tuple)) and len(got) == len(wanted)
        return alike and all(_equal(a, b) for a, b in zip(got, wanted, strict=True))
    if isinstance(wanted, float) and isinstance(got, (int, float)):
        return abs(got - wanted) <= 1e-4 * abs(wanted) + 1e-6
    return type(got) is type(wanted) and got == wanted


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(plain(value))
    return text if len(text) <= 60 else text[:57] + "…"


def _is_stub(function: Callable[..., Any]) -> bool:
    """Does the body hold nothing but a docstring, ``...`` or ``pass``? Told by the compiled code: a source may be gone."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None:
        return False
    steps = list(dis.get_instructions(code))
    returned = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return all(step.opname in _EMPTY for step in steps) and all(value is None for value in returned)


def _recorded() -> dict[str, dict[str, Any]]:
    file = readers_folder() / "progress.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # not JSON: kept for whoever wants to look, out of the way of the lesson
        file.replace(file.with_suffix(".damaged"))
        return {}


def _record(id: str, *, holds: bool) -> None:
    file = readers_folder() / "progress.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    tried = _recorded() | {id: {"holds": holds, "day": time.strftime("%Y-%m-%d")}}
    part.write_text(json.dumps(tried, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(file)
