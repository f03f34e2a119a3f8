"""Bugs made to order: small changes of a program whose place and kind are known.

To measure whether something finds bugs, one needs programs in which the bug is known. Each mutation changes one place of
a function as a tired programmer might: a comparison or an arithmetic operator is turned into its neighbour, ``and`` into
``or``, a whole number is one too large, a variable is mistaken for another of the same function.

The change is made in the *text*, at the place that `ast` names, and touches nothing else. Writing the changed tree out
(`ast.unparse`) would also change blanks, quotes and comments, and a detector would learn to see the writer, not the bug.

Variable misuse: Allamanis, Brockschmidt & Khademi, arXiv:1711.00740; bugs made by rewriting, to train detectors: Allamanis,
Jackson-Flux & Brockschmidt, arXiv:2105.12787. Departure: nothing is trained on the bugs here, they are for the test alone.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ("comparison", "arithmetic", "logic", "number", "variable")
NEIGHBOUR = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "is not": "is",
    "in": "not in", "not in": "in", "+": "-", "-": "+", "*": "+", "//": "/", "/": "//", "and": "or", "or": "and",
}  # fmt: skip
_OPERATOR = re.compile(r"is\s+not\b|not\s+in\b|(?:is|in|and|or)\b|\*\*|//|<<|>>|[<>=!]=|[-+*/<>]")


@dataclass(frozen=True)
class Mutation:
    """One change.

    Attributes:
        kind: one of `KINDS`.
        source: the changed program.
        line: in which line the change is, from 0.
        before: what stood there.
        after: what stands there now.
    """

    kind: str
    source: str
    line: int
    before: str
    after: str


def mutations(source: str) -> list[Mutation]:
    """All mutations of a program, in the order of their places; each still parses.

    Raises:
        ValueError: the source is not Python.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"source: got text that does not parse ({error}), wanted a Python program") from error
    lines = source.split("\n")
    starts = [sum(len(line.encode()) + 1 for line in lines[:n]) for n in range(len(lines))]
    raw, found = source.encode(), []
    for kind, begin, end, after in sorted(set(_changes(tree, raw, starts))):
        changed = (raw[:begin] + after.encode() + raw[end:]).decode()
        try:
            ast.parse(changed)
        except SyntaxError:  # a word that needs brackets in its new place
            continue
        found.append(Mutation(kind, changed, raw[:begin].count(b"\n"), raw[begin:end].decode(), after))
    return sorted(found, key=lambda one: (one.line, one.kind, one.before, one.after))


def _changes(tree: ast.AST, raw: bytes, starts: list[int]) -> Iterator[tuple[str, int, int, str]]:
    """Each change as kind, first and last byte, new text."""

    def begin(node: ast.AST) -> int:
        return starts[node.lineno - 1] + node.col_offset

    def end(node: ast.AST) -> int:
        return starts[node.end_lineno - 1] + node.end_col_offset

    def between(kind: str, left: ast.AST, right: ast.AST) -> Iterator[tuple[str, int, int, str]]:
        # What stands between two operands is one operator, and perhaps brackets, blanks and a comment.
        raw_gap = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), raw[end(left) : begin(right)])
        gap = raw_gap.decode(errors="replace")
        operator = _OPERATOR.search(gap)
        if operator and " ".join(operator[0].split()) in NEIGHBOUR:
            yield (
                kind,
                end(left) + operator.start(),
                end(left) + operator.end(),
                NEIGHBOUR[" ".join(operator[0].split())],
            )

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                yield from between("comparison", left, right)
        elif isinstance(node, ast.BinOp):
            yield from between("arithmetic", node.left, node.right)
        elif isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between("logic", left, right)
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield "number", begin(node), end(node), str(node.value + 1)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
            own = {one.id for one in inside if isinstance(one.ctx, ast.Store)}
            own |= {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
            for one in inside:
                if isinstance(one.ctx, ast.Load) and one.id in own:
                    for other in sorted(own - {one.id}):
                        yield "variable", begin(one), end(one), other
