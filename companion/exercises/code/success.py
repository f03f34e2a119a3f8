"""The checks of exercises 3.5.1 and 3.5.4: what one program and what several are worth.

The right values come from counting: all ways to take k of n programs, written out, and sums over all tasks.
"""

import math
from fractions import Fraction
from itertools import combinations

import torch
from torch import Generator

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare_numbers


def _whole(g: Generator, low: int, high: int) -> int:
    return low + int(torch.randint(high - low + 1, (), generator=g))


def _counted(n: int, c: int, k: int) -> float:
    """The share of all ways to take k of n programs, of which the first c are right, that have a right one."""
    ways = list(combinations(range(n), k))
    return sum(min(way) < c for way in ways) / len(ways)


def _mistakes(n: int, c: int, k: int) -> dict[str, float]:
    return {
        "drawn with replacement, which is biased": 1 - (1 - c / n) ** k,
        "the chance that all k are right": math.comb(c, k) / math.comb(n, k),
        "the share of right programs, whatever k": c / n,
        "the chance that none of the k is right": math.comb(n - c, k) / math.comb(n, k),
        "a task counts as solved as soon as one of the n is right": float(c > 0),
    }


def _few(answer: Answer, g: Generator) -> str:
    for _ in range(5):
        n = _whole(g, 6, 9)
        c, k = _whole(g, 2, n - 4), _whole(g, 2, 3)
        compare_numbers(answer.number(n, c, k), _counted(n, c, k), _mistakes(n, c, k))
    return "five times as counted"


def _ends(answer: Answer, g: Generator) -> str:
    n = _whole(g, 5, 8)
    k = _whole(g, 2, n - 2)
    compare_numbers(answer.number(n, 0, k), 0.0, {"one although no program is right": 1.0})
    found = answer.number(n, n - k + 1, k)
    compare_numbers(found, 1.0, _mistakes(n, n - k + 1, k))
    return "nothing is right: 0; fewer than k are wrong: 1"


def _one(answer: Answer, g: Generator) -> str:
    n = _whole(g, 6, 30)
    c = _whole(g, 1, n - 1)
    return compare_numbers(
        answer.number(n, c, 1), c / n, {"a task counts as solved as soon as one of the n is right": 1.0}
    )


def _many(answer: Answer, g: Generator) -> str:
    n, k = 10_000, _whole(g, 900, 1100)
    c = _whole(g, 3, 6)
    none = math.prod(Fraction(n - c - i, n - i) for i in range(k))
    return compare_numbers(answer.number(n, c, k), float(1 - none), _mistakes(n, c, k), rel=1e-6)


def _sets(g: Generator) -> list[float]:
    """Six tasks, easy and hard ones mixed; the hardest still possible."""
    hard = (0.02 + 0.1 * torch.rand(3, generator=g, dtype=torch.float64)).tolist()
    easy = (0.6 + 0.3 * torch.rand(3, generator=g, dtype=torch.float64)).tolist()
    return [round(p, 3) for pair in zip(hard, easy, strict=True) for p in pair]


def _pass_at(probabilities: list[float], k: int) -> float:
    return math.fsum(1 - (1 - p) ** k for p in probabilities) / len(probabilities)


def _two(answer: Answer, probabilities: list[float], goal: float) -> tuple[float, float]:
    first, tries = answer.numbers(probabilities, goal, count=2)
    if tries != int(tries):
        raise Wrong(f"got {tries} tries, wanted a whole number")
    return first, tries


def _mean(answer: Answer, g: Generator) -> str:
    tasks = _sets(g)
    first = _two(answer, tasks, 0.6)[0]
    none = 1 - math.prod(1 - p for p in tasks)
    return compare_numbers(
        first, _pass_at(tasks, 1), {"the chance to solve any task at all": none, "the best task": max(tasks)}
    )


def _enough(answer: Answer, g: Generator) -> str:
    for _ in range(3):
        tasks = _sets(g)
        wanted = _whole(g, 4, 12)
        goal = (_pass_at(tasks, wanted - 1) + 2 * _pass_at(tasks, wanted)) / 3
        mean = sum(tasks) / len(tasks)
        alike = next(k for k in range(1, 200) if 1 - (1 - mean) ** k >= goal)
        mistakes = {
            "the mean is taken before the tries: tasks are not alike": alike,
            "the last k that is too small": wanted - 1,
            "one try too many": wanted + 1,
        }
        got = _two(answer, tasks, goal)[1]
        if got != wanted:
            raise Wrong(f"got {got:g} tries", next((name for name, k in mistakes.items() if k == got), ""))
    return "three sets of tasks"


def _at_once(answer: Answer, g: Generator) -> str:
    tasks = [0.25, 0.5, 0.75]
    got = _two(answer, tasks, 0.5)[1]
    if got != 1:
        raise Wrong(f"got {got:g} tries where the first one meets the goal", "one try too many" if got == 2 else "")
    return "a goal that is met exactly"


def _never(answer: Answer, g: Generator) -> str:
    tasks = [*_sets(g)[:4], 0.0, 0.0]
    got = _two(answer, tasks, 0.8)[1]
    if got != 0:
        raise Wrong(f"got {got:g} tries", "some tasks are never solved, however many tries")
    return "some goals are out of reach"


EXERCISES = (
    Exercise(
        "3.5.1",
        "pass_at_k(n, c, k)",
        (
            Property("a few programs, all ways counted", 8, _few),
            Property("none is right, or fewer than k are wrong", 4, _ends),
            Property("a single try", 4, _one),
            Property("ten thousand programs", 4, _many),
        ),
    ),
    Exercise(
        "3.5.4",
        "mixture(probabilities, goal)",
        (
            Property("pass@1", 4, _mean),
            Property("how many tries are enough", 8, _enough),
            Property("a goal that the first try meets", 4, _at_once),
            Property("a goal that no number of tries meets", 4, _never),
        ),
    ),
)
