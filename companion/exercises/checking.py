"""`check` for students, `grade` for nbgrader: both call a student's function on fresh inputs, property by property.

A module of `companion.exercises` for each chapter holds its exercises in ``EXERCISES``. A property is a test of one fact
with points of its own; it names the likely mistake where it can recognise one, and never says the answer.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

import torch
from torch import Tensor

import companion.exercises
from companion.console import write_anything
from companion.exercises.answers import Answer, GaveUp, Wrong, contained
from companion.validate import check_choice, check_count


@dataclass(frozen=True)
class Property:
    """One fact about a right answer.

    Attributes:
        name: the fact in a few words, as the student reads it.
        points: what it is worth.
        test: gets the answer and a seeded generator; returns what was found in words or raises `Wrong`.
        after: True for a prediction, which `check` must not judge: it is judged when the work is handed in.
    """

    name: str
    points: int
    test: Callable[[Answer, torch.Generator], str]
    after: bool = False


@dataclass(frozen=True)
class Exercise:
    """One exercise: how the student's function is called and what must be true of it.

    Attributes:
        id: chapter and number: ``"3.3.1"``.
        call: the function's name and arguments: ``"attend(q, k, v)"``.
        properties: the facts, in the order in which they are shown.
    """

    id: str
    call: str
    properties: tuple[Property, ...]

    @property
    def points(self) -> int:
        """What the whole exercise is worth."""
        return sum(fact.points for fact in self.properties)


@dataclass(frozen=True)
class Finding:
    """What was found for one property; ``holds`` is None where it was not judged."""

    property: Property
    holds: bool | None
    detail: str
    mistake: str = ""

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "–"}[self.holds]
        return f"{mark} {self.property.name}: {self.detail}" + (
            f" (likely mistake: {self.mistake})" if self.mistake else ""
        )


def check(exercise: str, function: Callable[..., Any], *, seed: int | None = None) -> None:
    """Print, line by line, which properties your function has.

    Args:
        exercise: the exercise's number, ``"3.3.1"``.
        function: your function itself, without brackets.
        seed: which inputs; new ones in each call unless given.

    Raises:
        ValueError: an unknown exercise, or not a function.
    """
    seed = SystemRandom().randrange(100_000) if seed is None else seed
    found = examine(exercise, function, seed, handed_in=False)
    judged = [finding for finding in found if finding.holds is not None]
    write_anything()
    print(f"Exercise {exercise}, inputs of seed {seed}")
    for finding in found:
        print(f"  {finding}")
    print(f"{sum(bool(finding.holds) for finding in judged)} of {len(judged)} properties hold.")


def grade(exercise: str, function: Callable[..., Any], *, seed: int) -> float:
    """Print the points for each property and return their sum, which nbgrader takes as partial credit.

    Args and errors as for `check`.
    """
    found = examine(exercise, function, seed)
    write_anything()
    for finding in found:
        print(f"  {finding.property.points if finding.holds else 0}/{finding.property.points}  {finding}")
    return float(sum(finding.property.points for finding in found if finding.holds))


def examine(exercise: str, function: Callable[..., Any], seed: int, *, handed_in: bool = True) -> tuple[Finding, ...]:
    """What `check` and `grade` print.

    Args:
        exercise: the exercise's number.
        function: the student's function.
        seed: which inputs, a whole number from 0.
        handed_in: whether predictions are judged, too.

    Returns:
        One finding for each property; a single one if there is no function to speak of yet.
    """
    exercises = all_exercises()
    check_choice("exercise", exercise, exercises)
    check_count("seed", seed, low=0)
    chosen = exercises[exercise]
    answer = Answer(function, chosen.call)
    findings: list[Finding] = []
    stopped = ""
    with contained():  # as each property is, which costs less inside
        for number, fact in enumerate(chosen.properties):
            if stopped:
                findings.append(Finding(fact, False, stopped))
                continue
            if fact.after and not handed_in:
                findings.append(Finding(fact, None, "judged when you hand in; the experiment below shows it"))
                continue
            with contained(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(1_000 * seed + number)
                generator = torch.Generator().manual_seed(1_000 * seed + number)
                try:
                    findings.append(Finding(fact, True, fact.test(answer, generator)))
                except GaveUp as wrong:
                    findings.append(Finding(fact, False, wrong.what, wrong.mistake))
                    stopped = "not tried"
                except Wrong as wrong:
                    findings.append(Finding(fact, False, wrong.what, wrong.mistake))
    return tuple(findings)


@functools.cache
def all_exercises() -> dict[str, Exercise]:
    """Every exercise by its number, in order, from the ``EXERCISES`` of every module of the chapters' packages."""
    found: dict[str, Exercise] = {}
    for chapter in pkgutil.iter_modules(companion.exercises.__path__, "companion.exercises."):
        if not chapter.ispkg or chapter.name.endswith(".tries"):  # tries are the lessons', and draw
            continue
        for module in pkgutil.iter_modules(importlib.import_module(chapter.name).__path__, f"{chapter.name}."):
            for exercise in importlib.import_module(module.name).EXERCISES:
                if exercise.id in found:
                    raise ValueError(f"exercise: got {exercise.id!r} in two modules, wanted one name for one exercise")
                found[exercise.id] = exercise
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def depends_on(
    cases: Callable[[torch.Generator], Sequence[Sequence[Any]]], count: int, *, belongs: str = "formulas"
) -> Callable[[Answer, torch.Generator], str]:
    """The first property of a prediction of ``count`` numbers, which `check` judges: they are not the same for all cases.

    Args:
        cases: ``cases(generator)``, the arguments of the student's function in different cases.
        count: how many numbers it returns, from 2 to 4.
        belongs: what should stand where numbers were typed.
    """
    word = {2: "two", 3: "three", 4: "four"}[count]

    def test(answer: Answer, g: torch.Generator) -> str:
        if len({answer.numbers(*case, count=count) for case in cases(g)}) == 1:
            raise Wrong(f"got the same {word} numbers for different cases", f"numbers where {belongs} belong")
        return f"got {word} numbers, wanted {word} numbers"

    return test


def compare(got: Tensor, wanted: Tensor, mistakes: Mapping[str, Tensor], *, atol: float = 1e-4) -> str:
    """Say that two tensors agree, or raise `Wrong` with the mistake whose result was got.

    Args:
        got: the student's result.
        wanted: what a trusted library gives for the same inputs.
        mistakes: the results of typical mistakes, by the names of these.
        atol: how far apart equal values may be; relative to the size of large ones.

    Raises:
        Wrong: they differ by more.
    """
    got, wanted = got.detach().double(), wanted.detach().double()
    if torch.allclose(got, wanted, rtol=1e-4, atol=atol):
        return f"{got.numel()} values agree" if got.numel() > 1 else "the value agrees"
    name = next(
        (
            name
            for name, wrong in mistakes.items()
            if wrong.shape == got.shape and torch.allclose(got, wrong.detach().double(), rtol=1e-4, atol=atol)
        ),
        "",
    )
    raise Wrong(f"the values differ by up to {float((got - wanted).abs().max()):.3g}", name)


def compare_numbers(got: float, wanted: float, mistakes: Mapping[str, float], *, rel: float = 1e-4) -> str:
    """As `compare`, for one number; ``rel`` is how far apart equal numbers may be, as a share of the wanted one."""
    if abs(got - wanted) <= rel * abs(wanted) + 1e-9:
        return "the number agrees"
    close = (name for name, value in mistakes.items() if abs(got - value) <= rel * abs(value) + 1e-9)
    raise Wrong(f"got {got:.6g}, which is not it", next(close, ""))


def same(got: Any, wanted: Any, mistakes: Mapping[str, Any]) -> str:
    """As `compare`, for what is equal or not: words, whole numbers, lists of them."""
    if got == wanted:
        return "as it should be"
    raise Wrong(f"got {str(got)[:60]}", next((name for name, value in mistakes.items() if got == value), ""))


def sizes(generator: torch.Generator, count: int, low: int = 2, high: int = 9) -> list[int]:
    """Sizes for axes, no two alike, so that swapped axes show."""
    return (low + torch.randperm(high - low + 1, generator=generator)[:count]).tolist()
