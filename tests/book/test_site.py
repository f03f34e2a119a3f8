"""The rendered book, as a reader's browser finds it (run after `make book`): links, pictures, buttons, formulas, tables."""

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.book.lock import ROOT
from tests.lessons import notebooks

pytestmark = pytest.mark.built_book
HTML = ROOT / "_build" / "html"
OURS = "https://github.com/generative-ai-you-can-run/course"


class Page(HTMLParser):
    """What a page links to and shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.ids, self.links, self.images = path, set(), [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("link", "script") and (given.get("href") or given.get("src")):
            self.links.append(given.get("href") or given.get("src"))
        if tag == "img":
            self.images.append(given)


@cache
def page(path: Path) -> Page:
    return Page(path)


def pages() -> list[Page]:
    return [page(path) for path in sorted((HTML / "book").rglob("*.html"))]


def test_every_page_of_the_contents_is_rendered() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    named = re.findall(r"(?:file|root): (\S+)", contents)
    assert sorted(named) == sorted(p.path.relative_to(HTML).with_suffix("").as_posix() for p in pages())


def test_links_lead_somewhere() -> None:
    broken = []
    for one in pages():
        for link in one.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (one.path.parent / unquote(url.path)).resolve() if url.path else one.path
            if target.is_dir():
                target /= "index.html"
            known = page(target).ids if target.suffix == ".html" and target.exists() else {url.fragment}
            if not target.exists() or (url.fragment and unquote(url.fragment) not in known):
                broken.append((one.path.name, link))
    assert not broken


def test_the_search_alone_loads_the_index_of_all_pages() -> None:
    assert not [one.path for one in pages() if "searchindex.js" in one.text]
    assert "searchindex.js" in page(HTML / "search.html").text


def test_nothing_is_loaded_from_another_host() -> None:
    """The book can be read without a network: style, scripts, pictures and formulas lie beside it."""
    for one in pages():
        assert not re.findall(r"<(?:script|img)[^>]+src=\"(?:https?:)?//", one.text), one.path
        assert not re.findall(r"<link[^>]+stylesheet[^>]+href=\"(?:https?:)?//", one.text), one.path


def test_no_page_has_the_settings_of_thebe_which_nothing_here_uses() -> None:
    """Jupyter Book writes them twice, and a constant that is declared twice is an error in every browser."""
    assert not [one.path.name for one in pages() if "THEBE_JS_URL" in one.text or "sphinx-thebe.js" in one.text]


def test_films_are_small_and_wait_until_they_are_started() -> None:
    films = [film for one in pages() for film in re.findall(r"<video[^>]*>", one.text)]
    assert films
    for film in films:
        assert "controls" in film and "autoplay" not in film
        assert len(re.search(r'aria-label="([^"]*)"', film)[1].split()) >= 5
    assert not [one.path for one in pages() if re.search(r"<img[^>]*\.gif", one.text)]
    assert all(file.stat().st_size <= 150_000 for file in HTML.rglob("*.mp4"))


def test_icons_come_without_the_script_that_draws_any_icon() -> None:
    shapes = (HTML / "_static/icons.css").read_text(encoding="utf-8")
    for one in pages():
        assert "fontawesome" not in one.text
        for icon in re.findall(r"fa-(?:solid|brands) fa-([a-z-]+)", one.text):
            assert f".fa-{icon} {{ --icon" in shapes, icon
    assert not [*HTML.rglob("fontawesome.js"), *HTML.rglob("*.js.map")]


def test_a_link_to_a_page_shows_what_it_is_about() -> None:
    for path in notebooks.lessons():
        text = page(HTML / "book" / f"{notebooks.name(path)}.html").text
        about = re.search(r'<meta name="description" content="([^"]+)"', text)[1]
        assert len(about) > 80 and about.startswith("What you will be able to do"), (path, about)
        assert '<meta property="og:title"' in text and '<meta property="og:image"' in text


def test_each_lesson_says_how_to_cite_it() -> None:
    for path in notebooks.lessons():
        name = notebooks.name(path)
        entry = page(HTML / "book" / f"{name}.html").text.split('<details class="cite">')[1].split("</details>")[0]
        assert f"book/{name}.html" in entry and "@misc{" in entry and "title = {" in entry


def test_chapters_are_numbered_as_in_the_text_and_exercises_by_lesson() -> None:
    chapter = page(HTML / "book/3_06_image.html").text
    assert '<h1><span class="section-number">3.6 </span>' in chapter
    lesson = page(HTML / "book/3_06_image/ddpm.html").text
    assert re.search(r'class="eqno">\(3\.6\.\d+\)', lesson)
    assert re.findall(r"Exercise (\d+)", lesson)[:2] == ["1", "2"]


def test_what_unfolds_has_a_name() -> None:
    found = 0
    for one in pages():
        for label, text in re.findall(r"<summary([^>]*)>(.*?)</summary>", one.text, re.S):
            found += 1
            assert "aria-label=" in label or re.sub(r"<[^>]*>", "", text).strip(), (one.path.name, text)
    assert found > 100


def test_pictures_have_a_text() -> None:
    for one in pages():
        for image in one.images:
            assert image.get("alt") and not image["alt"].endswith(".png"), (one.path.name, image.get("src"))


def test_buttons_point_to_files_that_exist() -> None:
    found = 0
    for one in pages():
        for link in one.links:
            for pattern in (
                r"colab\.research\.google\.com/github/generative-ai-you-can-run/course/blob/main/(.+)$",
                r"mybinder\.org/v2/gh/generative-ai-you-can-run/course/main\?urlpath=lab/tree/(.+)$",
                rf"{re.escape(OURS)}/(?:blob|edit|tree)/main/(.+)$",
            ):
                if there := re.search(pattern, unquote(link)):
                    found += 1
                    file = ROOT / there[1]
                    assert file.is_file(), (one.path.name, link)
                    assert "assignments" not in file.parts, "the students' versions are not in the repository"
    assert found >= 2 * len(notebooks.lessons())


def api(module: str) -> Page:
    """The page of the package on which a module stands."""
    room = module.split(".")[1] if (ROOT / "companion" / module.split(".")[1]).is_dir() else "companion"
    return page(HTML / f"book/reference/api/{room}.html")


def test_each_function_a_lesson_imports_links_back_to_it() -> None:
    room = api("companion.nn.attention")
    assert "../../3_03_foundations/attention.html" in room.links
    assert "companion.nn.attention.MultiHeadAttention" in room.ids
    every = (HTML / "book/reference/api").glob("*.html")
    assert sum(page(path).text.count("<em>Lesson:</em>") for path in every) >= 40


def test_every_public_module_is_documented() -> None:
    for file in sorted((ROOT / "companion").rglob("*.py")):
        if not file.name.startswith("_"):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            assert f"module-{module}" in api(module).ids, f"{module} is not on the page of its room"


def test_the_status_page_shows_every_lesson_and_every_claim() -> None:
    status = page(HTML / "book/status.html")
    measured = json.loads((ROOT / "book/measured.json").read_text(encoding="utf-8"))
    for path in notebooks.lessons():
        assert f"{notebooks.name(path)}.html" in status.links
        for claim in measured[notebooks.name(path)]["claims"]:
            assert claim in status.text


def test_measured_costs_stand_at_the_top_of_each_lesson() -> None:
    for path in notebooks.lessons():
        text = page(HTML / "book" / f"{notebooks.name(path)}.html").text
        assert re.search(r'lesson-box measured"><strong>\d+ s and [\d.]+ GB on one core', text), path


def test_each_lesson_opens_with_a_picture_and_says_what_it_shows() -> None:
    opening = r'</h1>\s*<figure class="first-picture"><(?:img|video) .*?<figcaption><a href="#(fig-[\w-]+)">Fig. [\d.]+</a> \S'
    for path in notebooks.lessons():
        lesson = page(HTML / "book" / f"{notebooks.name(path)}.html")
        found = re.findall(opening, lesson.text, re.S)
        assert len(found) == 1 and found[0] in lesson.ids, path
