"""Programming tasks that are chains of small steps, with hidden tests, as many as one wants.

A task asks for a function of a list of whole numbers that does a few things in a row (eq-codex-chain):

    f = step_m ∘ … ∘ step_2 ∘ step_1

Its docstring names the steps in English; its right answer is computed by this module, not by generated code. Chen et al. made
such tasks from thirteen steps on strings, to see how a model's success falls with the number of steps (2021,
arXiv:2107.03374, section 6 and appendix C). Departures: lists of numbers in place of strings, several wordings for a step, and
its code on a line of its own.

The split is by task: a chain of steps belongs to training or to the test by a hash of the steps, whatever its wording. Every
single step occurs in training; a held-out *chain* of them does not.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from companion.code.sandbox import Outcome, Sandbox
from companion.validate import Count, check_choice, check_count, checked

Numbers = list[int]


@dataclass(frozen=True)
class Step:
    """One step: what it does, how one says it, how one writes it."""

    apply: Callable[[Numbers], Numbers]
    words: tuple[str, ...]
    code: str


def _steps() -> dict[str, Step]:
    steps = {
        "even": Step(lambda xs: [x for x in xs if x % 2 == 0], ("keep the even numbers", "drop the odd numbers"),
                     "[x for x in xs if x % 2 == 0]"),
        "odd": Step(lambda xs: [x for x in xs if x % 2 == 1], ("keep the odd numbers", "drop the even numbers"),
                    "[x for x in xs if x % 2 == 1]"),
        "positive": Step(lambda xs: [x for x in xs if x > 0], ("keep the positive numbers", "keep what is above zero"),
                         "[x for x in xs if x > 0]"),
        "negative": Step(lambda xs: [x for x in xs if x < 0], ("keep the negative numbers", "keep what is below zero"),
                         "[x for x in xs if x < 0]"),
        "square": Step(lambda xs: [x * x for x in xs], ("square each", "multiply each by itself"), "[x * x for x in xs]"),
        "double": Step(lambda xs: [x * 2 for x in xs], ("double each", "take twice each"), "[x * 2 for x in xs]"),
        "negate": Step(lambda xs: [-x for x in xs], ("negate each", "flip the signs"), "[-x for x in xs]"),
        "absolute": Step(lambda xs: [abs(x) for x in xs], ("take absolute values", "remove the signs"), "[abs(x) for x in xs]"),
        "sort": Step(sorted, ("sort them", "put them in rising order"), "sorted(xs)"),
        "falling": Step(lambda xs: sorted(xs, reverse=True), ("sort from large to small", "put them in falling order"),
                        "sorted(xs, reverse=True)"),
        "reverse": Step(lambda xs: xs[::-1], ("reverse the order", "turn the list around"), "xs[::-1]"),
        "unique": Step(lambda xs: sorted(set(xs)), ("sort without repeats", "keep each value once, in rising order"),
                       "sorted(set(xs))"),
        "second": Step(lambda xs: xs[::2], ("take every second one", "skip every other one"), "xs[::2]"),
    }  # fmt: skip
    for n in range(2, 10):
        steps |= {
            f"add {n}": Step(lambda xs, n=n: [x + n for x in xs], (f"add {n} to each", f"raise each by {n}"),
                             f"[x + {n} for x in xs]"),
            f"above {n}": Step(lambda xs, n=n: [x for x in xs if x > n], (f"keep what is above {n}", f"drop up to {n}"),
                               f"[x for x in xs if x > {n}]"),
            f"multiples {n}": Step(lambda xs, n=n: [x for x in xs if x % n == 0],
                                   (f"keep multiples of {n}", f"keep what {n} divides"), f"[x for x in xs if x % {n} == 0]"),
            f"first {n}": Step(lambda xs, n=n: xs[:n], (f"take the first {n}", f"stop after {n} of them"), f"xs[:{n}]"),
            f"last {n}": Step(lambda xs, n=n: xs[-n:], (f"take the last {n}", f"keep {n} at the end"), f"xs[-{n}:]"),
        }  # fmt: skip
    return steps


STEPS = _steps()


@dataclass(frozen=True)
class ChainTask:
    """One task.

    Attributes:
        steps: the names of its steps, in order.
        prompt: the function's first line and its docstring; a completion goes on from here.
        solution: a right completion.
    """

    steps: tuple[str, ...]
    prompt: str
    solution: str

    @cached_property
    def inputs(self) -> list[tuple[Numbers]]:
        """Hidden tests: the empty list, short and long lists, repeats, signs; the same for the same steps."""
        draw = random.Random(" ".join(self.steps))
        sizes = [0, 1, 5, 12, 20, 30]
        return [([draw.randint(-25, 25) for _ in range(size)],) for size in sizes] + [(list(range(-12, 61)),)]

    @cached_property
    def wanted(self) -> list[Numbers]:
        """The right answers to `inputs`."""
        return [run_steps(self.steps, xs) for (xs,) in self.inputs]

    def right(self, outcome: Outcome) -> bool:
        """Whether a program's answers are those wanted: equal lists of whole numbers, not of booleans or floats."""
        return outcome.gives(self.wanted)


def run_steps(steps: Sequence[str], xs: Numbers) -> Numbers:
    """The truth: what a chain of steps makes of a list (eq-codex-chain)."""
    for name in steps:
        xs = STEPS[name].apply(list(xs))
    return xs


def make_task(steps: Sequence[str], draw: random.Random) -> ChainTask:
    """A task from its steps; only the wording is drawn."""
    for name in steps:
        check_choice("steps", name, STEPS)
    said = ", then ".join(draw.choice(STEPS[name].words) for name in steps)
    said = said[0].upper() + said[1:]
    lines = [f"    xs = {STEPS[name].code}\n" for name in steps]
    return ChainTask(tuple(steps), f'def f(xs):\n    """{said}."""\n', "".join(lines) + "    return xs\n")


def split_of_steps(steps: Sequence[str]) -> str:
    """``"train"`` or ``"test"``: half of all chains each, by a hash; single steps are always for training."""
    if len(steps) == 1:
        return "train"
    return "train" if hashlib.blake2b(" ".join(steps).encode(), digest_size=1).digest()[0] % 2 else "test"


@checked
def chain_tasks(
    split: Literal["train", "test"], n: Count, seed: int, *, lengths: Sequence[int] = (1, 2, 3)
) -> list[ChainTask]:
    """n tasks of a split: lengths in turn, steps drawn uniformly, no step twice in a row.

    Raises:
        ValueError: an unknown split, or lengths below 1; for the test also length 1, since all single steps are trained on.
    """
    for length in lengths:
        check_count("lengths", length, low=1 if split == "train" else 2)
    draw, names, found = random.Random(seed), list(STEPS), []
    while len(found) < n:
        steps: list[str] = []
        while len(steps) < lengths[len(found) % len(lengths)]:
            steps += [name for name in [draw.choice(names)] if not steps or name != steps[-1]]
        if split_of_steps(steps) == split:
            found.append(make_task(steps, draw))
    return found


def solves(sandbox: Sandbox, task: ChainTask, completion: str) -> bool:
    """Whether a completion is right: it runs on the task's hidden inputs, behind walls, and is compared outside."""
    return task.right(sandbox.call(task.prompt + completion, "f", task.inputs))
