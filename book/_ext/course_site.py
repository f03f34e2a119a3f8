"""What the course changes in the pages that Sphinx and its theme make: numbers, first pictures, citations, icons."""

import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

import companion
from companion.plotting import DPI
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PART = 3  # the text numbers its chapters 3.1 to 3.10
YEAR = 2026
_FIGURE = re.compile(r'<img [^>]*?src="([^"]*_images/[^"]+\.png)"[^>]*>')
_FIRST = re.compile(
    r'tag_first-picture.*?<figure [^>]*?id="([^"]*)"[^>]*>\s*(?:<a [^>]*>)?(<img [^>]*>)\s*(?:</a>)?\s*<figcaption>\s*<p>'
    r'<span class="caption-number">(.*?)</span><span class="caption-text">(.*?)</span><a class="headerlink"',
    re.S,
)
_ICON = re.compile(r'(?<=[{,])"?([a-z-]+)"?:\[(\d+),(\d+),\[[^\]]*\],"[^"]*","([^"]+)"\]')
# The theme gives them to every page for a search that answers while one types, which this book has not; its index is large.
_SEARCH = re.compile(r'\s*<script src="[^"]*/(?:searchtools|language_data|searchindex)\.js[^"]*"></script>')
_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}"><path d="{}"/></svg>'
_ICONS = """.fa-solid, .fa-brands {
  display: inline-block;
  width: 1em;
  height: 1em;
  vertical-align: -0.125em;
  background: currentColor;
  mask: var(--icon) center / contain no-repeat;
}

.fa-lg { font-size: 1.25em; }"""


def without_launch(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """The students' versions are made by the build: no Binder or Colab could find them in the repository."""
    if page.startswith("book/assignments/"):
        context["header_buttons"] = [b for b in context["header_buttons"] if b.get("label") != "launch-buttons"]


def without_thebe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """No page runs code by Thebe; its settings, which Jupyter Book writes twice, would be an error in every browser."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script} {getattr(script, 'attributes', {}).get('body', '')}".lower()
    ]


def cited(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """At the end of each page of a chapter: how to cite it."""
    if doctree is None or not re.match(r"book/3_\d\d_", page):
        return
    title = re.sub(r"<[^>]*>", "", context["title"])
    key = page.removeprefix("book/").replace("/", "-").replace("_", "")
    entry = [
        f"@misc{{{key},",
        f"  title = {{{title}}},",
        f"  author = {{{{{app.config.author}}}}},",
        f"  howpublished = {{{app.config.html_title}, version {companion.__version__}}},",
        f"  url = {{{app.config.html_baseurl}{quote(page)}.html}},",
        f"  year = {{{YEAR}}}",
        "}",
    ]
    bibtex = "\n".join(entry)
    context["body"] += (
        '<details class="cite"><summary>Cite this page</summary>'
        f'<div class="highlight-bibtex notranslate"><div class="highlight"><pre>{bibtex}</pre></div></div></details>'
    )


def finish(app: Sphinx, error: Exception | None) -> None:
    """What the theme leaves: names for arrows, roles that fit, no scripts that nothing uses, icons, figures in their size."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    pages = {file: file.read_text(encoding="utf-8") for file in folder.rglob("*.html")}
    used = {name for text in pages.values() for name in re.findall(r"\bfa-([a-z-]+)", text)}
    script = folder / "_static/scripts/fontawesome.js"
    (folder / "_static/icons.css").write_text(icons(script.read_text(encoding="utf-8"), used), encoding="utf-8")
    for left in (script, *script.parent.glob("*.map")):
        left.unlink()
    bare = '<summary><span class="toctree-toggle"'
    for file, text in pages.items():
        text = text.replace(bare, bare.replace("<summary>", '<summary aria-label="Pages of this chapter">'))
        text = text.replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )  # no list items in it
        link = r'<link rel="stylesheet" href="\1/icons.css" />'
        text = re.sub(r'<script defer src="([^"]*)/scripts/fontawesome\.js[^"]*"></script>', link, text)
        text = _FIGURE.sub(partial(in_its_size, folder=file.parent), text)
        if file != folder / "search.html":
            text = _SEARCH.sub("", text)
        file.write_text(text, encoding="utf-8")


def in_its_size(figure: re.Match[str], folder: Path) -> str:
    """A figure as wide as it was drawn: it has more points than a plain screen shows."""
    with Image.open(folder / figure[1]) as picture:
        points = picture.info.get("dpi", (DPI,))[0]
        return figure[0].replace("<img ", f'<img width="{round(picture.width * DPI / points)}" ', 1)


def icons(script: str, used: set[str]) -> str:
    """A style sheet with the shapes of these icons, from the script that draws any icon."""
    shapes = {name: rest for name, *rest in _ICON.findall(script) if name in used}
    rules = [
        f'.fa-{name} {{ --icon: url("data:image/svg+xml,{quote(_SVG.format(*shape))}"); }}'
        for name, shape in sorted(shapes.items())
    ]
    return "\n".join([_ICONS, *rules, ""])


def numbered_as_the_text(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Chapter 6 is section 3.6 of the text that the course follows; exercises count from 1 in each lesson."""
    chapters = {page: title["secnumber"][0] for page, title in env.titles.items() if title.get("secnumber")}
    for page, number in chapters.items():
        section = (f"{PART}.{number}",)
        env.titles[page]["secnumber"] = section
        env.toc_secnumbers[page] = {
            anchor: old and (*section, *old[1:]) for anchor, old in env.toc_secnumbers[page].items()
        }
        for reference in env.tocs[page].findall(nodes.reference):
            if reference.get("secnumber"):
                reference["secnumber"] = (*section, *reference["secnumber"][1:])
    for figures in env.toc_fignumbers.values():
        for kind, numbers in figures.items():
            for count, (anchor, old) in enumerate(numbers.items(), 1):
                numbers[anchor] = (count,) if kind == "exercise" else (f"{PART}.{old[0]}", *old[1:])
    return []


def picture_first(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Below a lesson's title: the picture of the cell that is tagged ``first-picture``, which the run has drawn.

    It says what it shows in the words of the figure's caption, whose number leads to the place where it is made.
    """
    body = context.get("body", "")
    if found := _FIRST.search(body):
        anchor, picture, number, text = found.groups()
        caption = f'<figcaption><a href="#{anchor}">{number.strip()}</a> {text}</figcaption>'
        context["body"] = body.replace("</h1>", f'</h1>\n<figure class="first-picture">{picture}{caption}</figure>', 1)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", without_launch, priority=900)  # after the theme has made the buttons
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("html-page-context", cited)
    app.connect("html-page-context", picture_first)
    app.connect("build-finished", finish)
    app.connect("env-get-updated", numbered_as_the_text, priority=900)  # after Sphinx has counted
    return {"parallel_read_safe": True, "parallel_write_safe": True}
