"""The mutants of a module, made by cosmic-ray, and the choice of those that say something about the tests.

cosmic-ray offers every replacement that Python's grammar allows. Left out are those that no test needs to notice: in
annotations, decorators' arguments and the words of an error, a removed cache (the same results, later), a second name for the
same operation. And those that any test notices, since they raise on the spot (a shift of floats, another sign between types):
they would only lift the rate.

mutmut, tried on the same module, leaves every decorated function alone, and these are the package's entry points; nor does it
run beside jaxtyping's import hook.
"""

import ast
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

_BITS = {"BitAnd", "BitOr", "BitXor", "LShift", "RShift"}
_IDENTITY = {"Is", "IsNot"}
_CACHES = {"cache", "lru_cache", "cached_property"}
# What the name of a type is made of, as in ``Data = Sequence[Tensor] | Callable[[int], Batch]``.
_OF_TYPES = (ast.Name, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, ast.BinOp, ast.BitOr, ast.Load)


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: of the module, from the repository's root, as ``companion/nn/norms.py``.
        line, column: where the changed code begins; lines from 1, columns from 0.
        operator: cosmic-ray's name of the change.
        occurrence: which of this operator's places in the module it is.
    """

    path: str
    line: int
    column: int
    operator: str
    occurrence: int

    def apply(self, source: str) -> str:
        """The module's text with this change."""
        changed = mutate_code(source, cosmic_ray.plugins.get_operator(self.operator)(), self.occurrence)
        if changed is None:
            raise ValueError(f"source: got one without {self}, wanted the text of {self.path}")
        return changed


def mutants(path: str, source: str) -> list[Mutant]:
    """All mutants of a module that are worth a run, in the order of its lines."""
    tree, silent = get_ast(source), _silent(source)
    found = []
    for name in filter(_tells, cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)()
        starts = [start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(starts):
            if not any(first <= (line, column) < last for first, last in silent):
                found.append(Mutant(path, line, column, name, occurrence))
    return sorted(found, key=lambda one: (one.line, one.column, one.operator, one.occurrence))


def sample(found: list[Mutant], n: int, seed: int) -> list[Mutant]:
    """n places, each with one of its mutants, so that a sum with five replacements does not count five times."""
    places: dict[tuple[str, int, int], list[Mutant]] = defaultdict(list)
    for one in found:
        places[one.path, one.line, one.column].append(one)
    draw = random.Random(seed)
    chosen = draw.sample(sorted(places), min(n, len(places)))
    return [draw.choice(places[place]) for place in sorted(chosen)]


def _tells(operator: str) -> bool:
    kind, *names = operator.rpartition("/")[2].split("_")
    before, after = {*names[:1]}, {*names[1:]}
    if kind == "ReplaceBinaryOperator":
        return bool(before & _BITS) == bool(after & _BITS)
    if kind == "ReplaceComparisonOperator":
        return bool(before & _IDENTITY) == bool(after & _IDENTITY)
    if kind == "ReplaceUnaryOperator":
        return "Delete" in before  # +x is that too; and ~x of a float or -x of a mask raises
    return kind not in ("VariableReplacer", "VariableInserter", "NoOp")  # the first two need to be told names


def _silent(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations, types' names, decorators' arguments (``frozen=True``), caches and errors' words begin and end."""
    lines, tree = source.splitlines(), ast.parse(source)

    def place(line: int, byte: int) -> tuple[int, int]:
        return line, len(lines[line - 1].encode()[:byte].decode())  # Python's syntax tree counts bytes

    def span(node: ast.expr, at: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
        return place(node.lineno, node.col_offset - at), place(node.end_lineno, node.end_col_offset)

    def spans() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        for node in ast.walk(tree):
            if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
                yield span(node.annotation)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
                yield span(node.returns)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                yield from map(span, node.exc.args)
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call):
                    yield from map(span, [*decorator.args, *(keyword.value for keyword in decorator.keywords)])
                if ast.unparse(decorator).split("(")[0].split(".")[-1] in _CACHES:
                    yield span(decorator, at=1)
        for node in tree.body:
            if isinstance(node, ast.Assign) and _names_a_type(node.value):
                yield span(node.value)

    return list(spans())


def _names_a_type(value: ast.expr) -> bool:
    parts = list(ast.walk(value))
    return all(isinstance(part, _OF_TYPES) or (isinstance(part, ast.Constant) and part.value is None) for part in parts)


def modules(root: Path) -> list[str]:
    """Every module of the package but the exercises, from the repository's root."""
    paths = (path.relative_to(root) for path in sorted((root / "companion").rglob("*.py")))
    return [path.as_posix() for path in paths if "exercises" not in path.parts]
