"""The tries of the chapter on code: the depth of the next line, how alike two texts are, bugs made to order, a repair."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Generator

from companion.code.mutations import NEIGHBOUR
from companion.exercises.tries import Try

_NAMES = ("items", "total", "limit", "result", "found", "rest", "count", "first")


def next_depth(line: str) -> int:
    """How many blanks the next line begins with, by a person's rule."""
    return len(line) - len(line.lstrip()) + 4 * line.endswith(":")


def likeness(a: set[str], b: set[str]) -> float:
    """Which share of the words of both is common to them."""
    return len(a & b) / len(a | b)


def bugs(tokens: list[str], neighbour: Mapping[str, str]) -> list[list[str]]:
    """All programs that differ from this one in one token, which is turned into its neighbour."""
    return [tokens[:i] + [neighbour[token]] + tokens[i + 1 :] for i, token in enumerate(tokens) if token in neighbour]


def runs_until(proposals: Sequence[Any], passes: Callable[[Any], bool]) -> int:
    """How many proposals are run until one passes, that one included."""
    return next(n for n, one in enumerate(proposals, 1) if passes(one))


def _lines(g: Generator) -> list[tuple[str]]:
    one, other, third = (_NAMES[i] for i in torch.randperm(len(_NAMES), generator=g)[:3])
    blanks = [" " * (4 * int(depth)) for depth in torch.randint(2, 5, (3,), generator=g)]
    return [
        (f"{blanks[0]}while {one} > {other}:",),
        (f"{blanks[1]}{one} = {other} + {third}",),
        (f"{blanks[2]}return {one}[{other}:]",),
    ]


def _words(g: Generator) -> list[tuple[set[str], set[str]]]:
    found = []
    for common, own, others in ((3, 2, 4), (2, 1, 3)):
        numbers = torch.randperm(100, generator=g)[: common + own + others].tolist()
        words = [f"word{n}" for n in numbers]
        found.append(({*words[: common + own]}, {*words[:common], *words[common + own :]}))
    return found


def _programs(g: Generator) -> list[tuple[list[str], dict[str, str]]]:
    found = []
    for _ in range(2):
        a, b, c = (_NAMES[i] for i in torch.randperm(len(_NAMES), generator=g)[:3])
        found.append((["return", a, "<", b, "and", b, "<", c, "+", "1"], dict(NEIGHBOUR)))
    return found


def _verdicts(g: Generator) -> list[tuple[list[int], Callable[[int], bool]]]:
    found = []
    for n, first, last in ((9, 3, 7), (12, 5, 8)):
        proposals = torch.randperm(90, generator=g)[:n].tolist()
        right = {proposals[first - 1], proposals[last - 1]}
        found.append((proposals, right.__contains__))
    return found


TRIES = (
    Try(
        "3.5-code-1", "next_depth(line)", next_depth, _lines,
        {
            "a colon anywhere, not at the end": lambda line: len(line) - len(line.lstrip()) + 4 * (":" in line),
            "as deep as before, also after a colon": lambda line: len(line) - len(line.lstrip()),
            "deeper after every line": lambda line: len(line) - len(line.lstrip()) + 4,
            "the depth of the line itself is forgotten": lambda line: 4 * line.endswith(":"),
            "one blank deeper, not four": lambda line: len(line) - len(line.lstrip()) + line.endswith(":"),
        },
    ),
    Try(
        "3.5-code-2", "likeness(a, b)", likeness, _words,
        {
            "how many words are common, not which share": lambda a, b: len(a & b),
            "the share of the first text's words alone": lambda a, b: len(a & b) / len(a),
            "common words are counted twice below the line": lambda a, b: len(a & b) / (len(a) + len(b)),
            "the share of words that are not common": lambda a, b: 1 - likeness(a, b),
        },
    ),
    Try(
        "3.5-code-3", "bugs(tokens, neighbour)", bugs, _programs,
        {
            "all places changed at once, not one at a time": lambda tokens, table: [[table.get(t, t) for t in tokens]],
            "the first place alone": lambda tokens, table: bugs(tokens, table)[:1],
            "the changed token without the program around it": lambda tokens, table: [
                [table[t]] for t in tokens if t in table
            ],
            "equal operators are all changed together": lambda tokens, table: [
                [table[t] if u == t else u for u in tokens] for t in tokens if t in table
            ],
        },
    ),
    Try(
        "3.5-code-4", "runs_until(proposals, passes)", runs_until, _verdicts,
        {
            "counted from zero": lambda p, passes: runs_until(p, passes) - 1,
            "the last that passes, not the first": lambda p, passes: max(i for i, o in enumerate(p, 1) if passes(o)),
            "all are run, also behind the one that passes": lambda p, passes: len(p),
        },
    ),
)  # fmt: skip
