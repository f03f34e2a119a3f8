"""Chapter 3.5's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from companion.code.codex.completion import first_block
from companion.code.codex.pass_at_k import pass_at_k
from companion.exercises.checking import grade
from companion.exercises.code.success import _counted
from tests.exercises import typical

RIGHT = typical.right("3_05_code")


def back(
    orders: Sequence[str] = ("psme", "spme"),
    join: Callable[[dict[str, list[int]]], list[int]] = lambda part: part["p"] + part["m"] + part["s"],
    strict: Callable[[list[int], list[int], str], bool] = lambda row, at, word: at[0] == 0 and at[-1] == len(row) - 1,
    end: int = 0,
) -> Callable[..., Any]:
    def wrong(row: list[int], special: dict[str, int]) -> Any:
        at = [i for i, token in enumerate(row) if token in special.values()]
        word = "".join(next(name[0] for name, number in special.items() if number == row[i]) for i in at)
        if word not in orders or not strict(row, at, word):
            return "broken"
        part = {word[i]: row[at[i] + 1 : at[i + 1] + (end if word[i] == "m" else 0)] for i in range(3)}
        return join(part)

    return wrong


def prefix_always_first(row: list[int], special: dict[str, int]) -> Any:
    at = [i for i, token in enumerate(row) if token in special.values()]
    if (
        len(at) != 4
        or at[0] != 0
        or at[-1] != len(row) - 1
        or row[at[2]] != special["middle"]
        or row[-1] != special["end"]
    ):
        return "broken"
    first, second, middle = (row[a + 1 : b] for a, b in zip(at, at[1:], strict=False))
    return first + middle + second


def never_broken(row: list[int], special: dict[str, int]) -> Any:
    part: dict[str, list[int]] = {"p": [], "s": [], "m": [], "e": []}
    now = "p"
    names = {number: name[0] for name, number in special.items()}
    for token in row:
        if token in names:
            now = names[token]
        elif now != "e":
            part[now].append(token)
    return part["p"] + part["m"] + part["s"]


def cut(
    stops: Callable[[str], bool] = lambda line: bool(line.strip()) and line[0] not in " \t",
    before: Callable[[str], str] = lambda text: text,
    finish: Callable[[str], str] = lambda text: text.rstrip() + "\n",
    skip: bool = False,
) -> Callable[..., str]:
    def wrong(text: str) -> str:
        kept = []
        for line in before(text).split("\n"):
            if stops(line):
                if skip:
                    continue
                break
            kept.append(line)
        return finish("\n".join(kept))

    return wrong


def mixed(
    first: Callable[[list[float]], float] = lambda tasks: sum(tasks) / len(tasks),
    worth: Callable[[list[float], int], float] = lambda tasks, k: sum(1 - (1 - p) ** k for p in tasks) / len(tasks),
    shift: int = 0,
    strict: bool = False,
    never: int = 0,
) -> Callable[..., Any]:
    def wrong(tasks: list[float], goal: float) -> tuple[float, int]:
        for k in range(1, 3000):
            got = worth(tasks, k)
            if got > goal + 1e-9 if strict else got >= goal - 1e-9:
                return first(tasks), k + shift
        return first(tasks), never

    return wrong


def tree(
    dump: Callable[[str], Any] = ast.parse,
    shift: int = 0,
    kinds: Sequence[str] = ("comparison", "arithmetic", "number", "name"),
) -> Callable[..., Any]:
    def wrong(first: str, second: str) -> tuple[str, int]:
        for old, new in zip(ast.walk(dump(first)), ast.walk(dump(second)), strict=False):
            for kind, node, part in (
                ("comparison", ast.Compare, lambda one: [type(operator) for operator in one.ops]),
                ("arithmetic", ast.BinOp, lambda one: type(one.op)),
                ("number", ast.Constant, lambda one: repr(one.value)),
                ("name", ast.Name, lambda one: one.id),
            ):
                if kind in kinds and isinstance(old, node) and part(old) != part(new):
                    return kind, old.lineno + shift
        return "nothing", 0

    return wrong


def by_lines(first: str, second: str) -> tuple[str, int]:
    for number, (old, new) in enumerate(zip(first.split("\n"), second.split("\n"), strict=False), 1):
        if old != new:
            return tree()(first, second)[0] if tree()(first, second)[1] else "name", number
    return "nothing", 0


WRONG: list[typical.Row] = [
    ("3.5.1", lambda n, c, k: 1 - (1 - c / n) ** k, 4, "with replacement"),
    ("3.5.1", lambda n, c, k: math.comb(c, k) / math.comb(n, k), 4, "all k are right"),
    ("3.5.1", lambda n, c, k: c / n, 4, "whatever k"),
    ("3.5.1", lambda n, c, k: float(c > 0), 4, "as soon as one of the n"),
    ("3.5.1", lambda n, c, k: math.comb(n - c, k) / math.comb(n, k), 0, "none of the k"),
    ("3.5.2", back(orders=("psme",)), 10, "a good row is called broken"),
    ("3.5.2", prefix_always_first, 10, "as if the prefix came first"),
    ("3.5.2", never_broken, 16, "without its end is accepted"),
    ("3.5.2", back(join=lambda part: part["p"] + part["s"] + part["m"]), 4, "stays at the end"),
    ("3.5.2", back(end=-1), 4, "the last token of the middle"),
    ("3.5.2", back(strict=lambda row, at, word: at[0] == 0), 16, "behind the end is accepted"),
    ("3.5.3", RIGHT["body_with_bugs"], 6, "an empty line ends the body"),
    ("3.5.3", cut(stops=lambda line: not line.startswith((" ", "\t"))), 15, "an empty line ends the body"),
    ("3.5.3", cut(stops=lambda line: bool(line) and not line.startswith(" ")), 16, "a tab is not taken"),
    ("3.5.3", cut(before=lambda text: text.split("def ")[0]), 15, "inside a line too"),
    ("3.5.3", cut(before=lambda text: text.split("#")[0]), 15, "a comment ends the body"),
    ("3.5.3", cut(finish=lambda text: text + "\n"), 17, "empty lines behind"),
    ("3.5.3", cut(finish=lambda text: text.rstrip()), 0, "no line end"),
    ("3.5.3", cut(stops=lambda line: line.startswith(("class ", "print(", "y ", "x "))), 17, "only some words"),
    ("3.5.3", cut(skip=True), 13, "after the end is taken in"),
    ("3.5.4", mixed(worth=lambda tasks, k: 1 - (1 - sum(tasks) / len(tasks)) ** k), 8, "tasks are not alike"),
    ("3.5.4", mixed(shift=1, never=0), 8, "one try too many"),
    ("3.5.4", mixed(shift=-1), 8, "the last k that is too small"),
    ("3.5.4", mixed(strict=True), 16, "one try too many"),
    ("3.5.4", mixed(never=3000), 16, "some tasks are never solved"),
    ("3.5.4", mixed(first=lambda tasks: 1 - math.prod(1 - p for p in tasks)), 16, "any task at all"),
    ("3.5.4", mixed(first=max), 16, "the best task"),
    ("3.5.5", by_lines, 12, "the writing is compared"),
    ("3.5.5", tree(shift=-1), 4, "counted from 0"),
    ("3.5.5", tree(kinds=("comparison", "arithmetic")), 16, "nothing is seen"),
    ("3.5.5", tree(kinds=("number", "name", "comparison")), 12, "nothing is seen"),
    ("3.5.5", lambda first, second: ("name", 1) if first != second else ("nothing", 0), 0, "the writing is compared"),
]


def test_the_count_of_all_ways_is_the_formula() -> None:
    assert all(_counted(7, c, k) == pytest.approx(pass_at_k(7, c, k), abs=1e-12) for c in range(8) for k in range(1, 8))


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    """The package's own functions, other algorithms, a list for a tuple: full points."""
    assert grade("3.5.1", pass_at_k, seed=4) == 20
    assert grade("3.5.2", back(), seed=4) == 20
    assert grade("3.5.3", cut(), seed=4) == 20
    assert grade("3.5.3", first_block, seed=4) == 20
    assert grade("3.5.4", mixed(), seed=4) == 20
    assert grade("3.5.5", lambda first, second: list(tree()(first, second)), seed=4) == 20
