"""The checks of exercises 3.5.2, 3.5.3 and 3.5.5: programs as rows of tokens, as lines, as trees.

Every input is put together from its parts, so the right answer is known before the student's function is called.
"""

import torch
from torch import Generator

from companion.exercises.answers import Answer, Wrong, plain
from companion.exercises.checking import Exercise, Property, same

Row = list[int]


def _tokens(g: Generator, count: int) -> Row:
    return torch.randint(50, (count,), generator=g).tolist()


def _parts(g: Generator) -> tuple[dict[str, int], Row, Row, Row]:
    numbers = (50 + torch.randperm(40, generator=g)[:4]).tolist()
    special = dict(zip(("prefix", "suffix", "middle", "end"), numbers, strict=True))
    return special, *(_tokens(g, int(n)) for n in (3 + torch.randperm(5, generator=g)[:3]))


def _psm(special: dict[str, int], p: Row, m: Row, s: Row) -> Row:
    return [special["prefix"], *p, special["suffix"], *s, special["middle"], *m, special["end"]]


def _spm(special: dict[str, int], p: Row, m: Row, s: Row) -> Row:
    return [special["suffix"], *s, special["prefix"], *p, special["middle"], *m, special["end"]]


def _text(answer: Answer, row: Row, special: dict[str, int]) -> Row | str:
    got = plain(answer(row, special))
    if isinstance(got, str):
        return got
    if not isinstance(got, (list, tuple)) or not all(isinstance(token, int) for token in got):
        raise Wrong(f"got {str(got)[:60]}, wanted a list of token numbers or 'broken'")
    return list(got)


def _judge(answer: Answer, row: Row, special: dict[str, int], p: Row, m: Row, s: Row) -> str:
    mistakes = {
        "the middle stays at the end": p + s + m,
        "both orders are read as if the prefix came first": s + m + p,
        "suffix and middle are read in the order of the row": s + p + m,
        "the last token of the middle is lost": p + m[:-1] + s,
        "the end token is kept": [*p, *m, special["end"], *s],
        "a good row is called broken": "broken",
    }
    return same(_text(answer, row, special), p + m + s, mistakes)


def _prefix_first(answer: Answer, g: Generator) -> str:
    special, p, m, s = _parts(g)
    return _judge(answer, _psm(special, p, m, s), special, p, m, s)


def _suffix_first(answer: Answer, g: Generator) -> str:
    special, p, m, s = _parts(g)
    return _judge(answer, _spm(special, p, m, s), special, p, m, s)


def _empty(answer: Answer, g: Generator) -> str:
    special, *rest = _parts(g)
    for order in (_psm, _spm):
        for gone in range(3):
            parts = [[] if n == gone else row for n, row in enumerate(rest)]
            wanted = parts[0] + parts[1] + parts[2]
            same(
                _text(answer, order(special, *parts), special), wanted, {"an empty part is taken for a fault": "broken"}
            )
    return "six rows with an empty part"


def _broken(answer: Answer, g: Generator) -> str:
    special, p, m, s = _parts(g)
    good = _psm(special, p, m, s)
    rows = {
        "a row without its end is accepted": good[:-1],
        "a row with a special token twice is accepted": [*good[:2], special["middle"], *good[2:]],
        "a row with its special tokens in another order is accepted": [
            special["middle"],
            *m,
            special["prefix"],
            *p,
            special["suffix"],
            *s,
            special["end"],
        ],
        "what stands before the first special token is accepted": [p[0], *good],
        "what stands behind the end is accepted": [*good, p[0]],
    }
    for mistake, row in rows.items():
        if (got := _text(answer, row, special)) != "broken":
            raise Wrong(f"got {str(got)[:40]}", mistake)
    return "five rows that are no examples"


def _name(g: Generator) -> str:
    return ("total", "found", "result", "value")[int(torch.randint(4, (), generator=g))]


def _body_is(answer: Answer, lines: list[str], behind: str, mistakes: dict[str, str]) -> str:
    wanted, whole = "\n".join(lines) + "\n", "\n".join(lines) + behind
    got = answer(whole)
    if not isinstance(got, str):
        raise Wrong(f"got {type(got).__name__}, wanted a string")
    if got == wanted:
        return "as it should be"
    found = (name for name, text in mistakes.items() if got.rstrip() == text.rstrip())
    longer = "only some words end the body" if got.rstrip() == whole.rstrip() else "a line after the end is taken in"
    raise Wrong(f"got {got!r:.60}", next(found, longer if len(got.rstrip()) > len(wanted.rstrip()) else ""))


def _gap(answer: Answer, g: Generator) -> str:
    x = _name(g)
    lines = [f"    {x} = 0", "", f"    return {x}"]
    return _body_is(answer, lines, "\ny = 2\n", {"an empty line ends the body": f"    {x} = 0"})


def _inside(answer: Answer, g: Generator) -> str:
    x = _name(g)
    lines = [f"    def {x}(n):", "        return n  # undefined print(", f"    return {x}"]
    mistakes = {
        "a stop word counts inside a line too": "",
        "a comment ends the body": f"    def {x}(n):\n        return n",
    }
    return _body_is(answer, lines, "\nprint(f)\n", mistakes)


def _tabs(answer: Answer, g: Generator) -> str:
    x = _name(g)
    lines = [f"\t{x} = 1", f"\tif {x}:", "\t\tpass", f"\treturn {x}"]
    return _body_is(answer, lines, "\nclass A:\n\tpass\n", {"a tab is not taken for an indentation": ""})


def _edges(answer: Answer, g: Generator) -> str:
    x = _name(g)
    for behind in ("\n@wraps\ndef g():\n    pass\n", "\nx = 1\n    y = 2\n", "\n'''text'''\n", "\nassert f(1)\n"):
        _body_is(answer, [f"    {x} = 3", f"    return {x}"], behind, {})
    return "whatever begins at the left edge"


def _end(answer: Answer, g: Generator) -> str:
    x = _name(g)
    lines = [f"    return {x}"]
    for behind in ("", "\n", "\n\n\n", "\n\n\nx = 1\n"):
        got = answer("\n".join(lines) + behind)
        mistakes = {
            "empty lines behind the body are kept": {lines[0] + "\n" * n for n in (2, 3, 4)},
            "no line end": {lines[0]},
        }
        if got != lines[0] + "\n":
            raise Wrong(f"got {got!r:.60}", next((name for name, some in mistakes.items() if got in some), ""))
    return "exactly one line end"


def _program(comparison: str = "<", operator: str = "+", number: str = "3", name: str = "n") -> list[str]:
    return [
        "def f(xs, n, m):",
        "    best = 0",
        "    for x in xs:",
        f"        if x {comparison} n:",
        f"            best = best {operator} x",
        f"    return best - {number} if {name} else m",
    ]


def _written_anew(lines: list[str], g: Generator) -> str:
    """The same program, otherwise written: a comment before it, empty lines, brackets."""
    lines = ["# another hand", "", *lines]
    at = 4 + int(torch.randint(3, (), generator=g))
    lines.insert(at, "")
    return "\n".join(lines).replace("best = 0", "best = (0)  # so far") + "\n"


def _change(
    answer: Answer, first: list[str], second: list[str], kind: str, line: int, g: Generator, *, anew: bool
) -> str:
    more = 1 + int(torch.randint(9, (), generator=g))  # lines before the change, so that its place is new each time
    first, second = ([lines[0], *["    spare = 1"] * more, *lines[1:]] for lines in (first, second))
    line += more
    old = "\n".join(first) + "\n"
    new = _written_anew(second, g) if anew else "\n".join(second) + "\n"
    got = plain(answer(old, new))
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong(f"got {str(got)[:60]}, wanted a kind and a line")
    mistakes = {
        "lines are counted from 0": (kind, line - 1),
        "nothing is seen": ("nothing", 0),
        "the writing is compared, not the program": (got[0], 1) if anew else None,
    }
    return same(tuple(got), (kind, line), mistakes)


def _pick(g: Generator, *options: str) -> str:
    return options[int(torch.randint(len(options), (), generator=g))]


def _comparison(answer: Answer, g: Generator) -> str:
    second = _program(comparison=_pick(g, "<=", ">", "!=", "in"))
    return _change(answer, _program(), second, "comparison", 4, g, anew=False)


def _arithmetic(answer: Answer, g: Generator) -> str:
    return _change(answer, _program(), _program(operator=_pick(g, "-", "*", "//")), "arithmetic", 5, g, anew=False)


def _leaf(answer: Answer, g: Generator) -> str:
    _change(answer, _program(), _program(number=_pick(g, "4", "2", "30")), "number", 6, g, anew=False)
    return _change(answer, _program(), _program(name=_pick(g, "m", "best", "xs")), "name", 6, g, anew=False)


def _writing(answer: Answer, g: Generator) -> str:
    got = plain(answer("\n".join(_program()) + "\n", _written_anew(_program(), g)))
    if not isinstance(got, (tuple, list)) or tuple(got) != ("nothing", 0):
        raise Wrong(
            f"got {str(got)[:60]} for the same program in another hand", "the writing is compared, not the program"
        )
    return "the same program in another hand"


def _both(answer: Answer, g: Generator) -> str:
    return _change(answer, _program(), _program(operator=_pick(g, "-", "*", "//")), "arithmetic", 5, g, anew=True)


EXERCISES = (
    Exercise(
        "3.5.2",
        "put_back(row, special)",
        (
            Property("prefix first", 6, _prefix_first),
            Property("suffix first", 6, _suffix_first),
            Property("an empty part", 4, _empty),
            Property("rows that are no examples", 4, _broken),
        ),
    ),
    Exercise(
        "3.5.3",
        "body(text)",
        (
            Property("an empty line inside", 5, _gap),
            Property("stop words inside", 5, _inside),
            Property("tabs", 4, _tabs),
            Property("what ends a body", 3, _edges),
            Property("the last line end", 3, _end),
        ),
    ),
    Exercise(
        "3.5.5",
        "what_changed(first, second)",
        (
            Property("a comparison", 4, _comparison),
            Property("an arithmetic operator", 4, _arithmetic),
            Property("a number, a name", 4, _leaf),
            Property("another hand, the same program", 4, _writing),
            Property("a change in another hand", 4, _both),
        ),
    ),
)
