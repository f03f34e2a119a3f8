"""Made-up bugs: exactly one place changes, to what is said, and the program still parses."""

import ast

from companion.code.mutations import KINDS, mutations
from companion.data import more_itertools
from tests.conftest import rejects

SOURCE = '''def f(xs, n):
    """At most n - 1, and not in vain."""
    best = 0  # x < y
    for x in xs:
        if (x) < (n + 1) and x not in (4, 'ü'):
            best = x * n
    return best is not None
'''


def test_every_kind_in_its_place_and_nothing_in_strings_or_comments() -> None:
    found = {(one.kind, one.line, one.before, one.after) for one in mutations(SOURCE)}
    assert {
        ("number", 2, "0", "1"),
        ("comparison", 4, "<", "<="),
        ("arithmetic", 4, "+", "-"),
        ("number", 4, "1", "2"),
        ("logic", 4, "and", "or"),
        ("comparison", 4, "not in", "in"),
        ("arithmetic", 5, "*", "+"),
        ("comparison", 6, "is not", "is"),
        ("variable", 3, "xs", "best"),
        ("variable", 6, "best", "xs"),
    } <= found
    assert {line for _, line, _, _ in found} == {2, 3, 4, 5, 6}
    assert ("variable", 2, "best", "n") not in found, "a name that is written to is not a misuse"


def test_one_place_changes_and_the_rest_of_the_text_is_the_same() -> None:
    for one in mutations(SOURCE):
        before, after = SOURCE.split("\n"), one.source.split("\n")
        assert [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [one.line]
        a, b = before[one.line], after[one.line]
        assert b in {a[:i] + one.after + a[i + len(one.before) :] for i in range(len(a)) if a.startswith(one.before, i)}


def test_real_programs_stay_programs_and_change_their_tree() -> None:
    functions = more_itertools().functions(40)
    count = dict.fromkeys(KINDS, 0)
    for source in functions:
        tree = ast.dump(ast.parse(source))
        for one in mutations(source):
            assert ast.dump(ast.parse(one.source)) != tree
            count[one.kind] += 1
    assert min(count.values()) > 5, count


def test_a_text_that_is_no_program_is_refused() -> None:
    with rejects("source"):
        mutations("def f(:\n")
