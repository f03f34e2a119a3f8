"""Ways to break one answer of an assignment, and what a notebook's cells are then worth, without a kernel for each."""

import ast
import contextlib
import io
import re
from collections.abc import Callable
from typing import Any

from nbformat import NotebookNode, v4
from nbgrader.utils import determine_grade, is_grade, is_solution


def _cell(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def _write_nonsense(notebook: NotebookNode, task: str) -> None:
    _cell(notebook, task).source += "\n    return ("


def _rename(notebook: NotebookNode, task: str) -> None:
    cell = _cell(notebook, task)
    cell.source = re.sub(r"^def ", "def my_", cell.source, flags=re.M)


def _empty(notebook: NotebookNode, task: str) -> None:
    _cell(notebook, task).source = ""


def _delete_test(notebook: NotebookNode, task: str) -> None:
    notebook.cells.remove(_cell(notebook, f"{task}-points"))


BREAKS: dict[str, Callable[[NotebookNode, str], None]] = {
    "syntax error": _write_nonsense,
    "renamed function": _rename,
    "emptied cell": _empty,
    "deleted test cell": _delete_test,
}


def points(notebook: NotebookNode) -> dict[str, float]:
    """What nbgrader makes of each test cell that is there, by its grade id, after running imports, answers and tests in order.

    The experiments, which carry no points, are left out: kernels run them in `test_round`.
    """
    space: dict[str, Any] = {}
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    worth = {}
    for cell in notebook.cells:
        if cell is first or (cell.cell_type == "code" and (is_solution(cell) or is_grade(cell))):
            cell.outputs = _run(cell.source, space)
            if is_grade(cell):
                worth[cell.metadata.nbgrader.grade_id] = determine_grade(cell)[0]
    return worth


def _run(source: str, space: dict[str, Any]) -> list[NotebookNode]:
    """A cell's outputs: an error, or the value of a last expression; and what went to stderr."""
    said, outputs = io.StringIO(), []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            *statements, last = ast.parse(source).body or [ast.Pass()]
            if not isinstance(last, ast.Expr):
                statements, last = [*statements, last], ast.Expr(ast.Constant(None))
            exec(compile(ast.Module(statements, []), "<cell>", "exec"), space)
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), space)
        except Exception as error:  # noqa: BLE001  a kernel, too, puts any error into the outputs
            outputs.append(v4.new_output("error", ename=type(error).__name__, evalue=str(error)))
        else:
            if value is not None:
                outputs.append(v4.new_output("execute_result", data={"text/plain": repr(value)}))
    return [*outputs, *([v4.new_output("stream", name="stderr", text=said.getvalue())] if said.getvalue() else [])]
