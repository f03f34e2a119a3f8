"""Every page in headless Chromium, as readers see it: light and dark, on a desk and on a phone (run after `make book`)."""

import functools
import gzip
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.book.lock import ROOT

HTML = ROOT / "_build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.built_book,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine: its pages were not looked at"),
]
DESK, PHONE = 1300, 390
ONE_OF_EACH_KIND = ("index", "3_04_text", "3_03_foundations/first_network", "reference/api/ethics", "status")
VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (DESK, PHONE)]
USUAL = [("light", DESK), ("dark", PHONE)]
PAGES = sorted(HTML.glob("book/**/*.html"))
PATIENCE = 600_000  # milliseconds: it ends only what hangs
LARGEST = 1_000_000  # bytes of a lesson, compressed, without its own pictures, films and sounds
# Of each displayed formula and each block of code: is it wider than the place that it has, and does it show that it scrolls?
MEASURE = """() => {
  const wide = one => one.scrollWidth > one.clientWidth + 1;
  const frame = one => 2 * parseFloat(getComputedStyle(one).paddingTop);
  const shown = one => (one.clientHeight - frame(one)) / (one.clientWidth - frame(one));
  const formulas = [...document.querySelectorAll("div.math mjx-container")];
  const code = [...document.querySelectorAll("div.highlight:not(.highlight-myst-ansi div) > pre")];
  return {
    page: wide(document.documentElement),
    formulas: formulas.length,
    scrolling: formulas.filter(wide).length,
    tiny: formulas.filter(
      one => one.querySelector("mjx-math").getBoundingClientRect().width < one.clientWidth / 2
        && parseFloat(getComputedStyle(one).fontSize) < parseFloat(getComputedStyle(one.closest("section")).fontSize)
    ).length,
    hidden: [...formulas, ...code].filter(
      one => wide(one) && !["auto", "scroll"].includes(getComputedStyle(one).overflowX)
    ).length,
    wrapped: code.filter(one => getComputedStyle(one).whiteSpace !== "pre").length,
    stretched: [...document.querySelectorAll(":is(div.cell_output, .first-picture) img")].filter(
      one => one.naturalWidth && Math.abs(shown(one) * one.naturalWidth / one.naturalHeight - 1) > 0.05
    ).length,
    small: [...document.querySelectorAll("div.cell_output img")].filter(
      one => one.src.endsWith(".png") && one.naturalWidth < 1.9 * one.width
    ).length,
  };
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: what is asked for is no news."""


def name(page: Path) -> str:
    return page.relative_to(HTML / "book").with_suffix("").as_posix()


@functools.cache
def compressed(file: Path) -> int:
    """How many bytes are sent for a file; most of them are the same for each page."""
    return len(gzip.compress(file.read_bytes()))


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the built book on a server of this machine: of files alone a browser forbids too much."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HTML)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # What a browser does in the background needs a network, and there may be none.
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
def view(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator["View"]:
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.add_init_script(f"localStorage.setItem('theme', '{scheme}'); localStorage.setItem('mode', '{scheme}')")
    yield View(context.new_page(), site, request.param)
    context.close()


class View:
    """A window; what its page loaded, and what went wrong in its scripts."""

    def __init__(self, page: Page, site: str, name: tuple[str, int] | None = None) -> None:
        self.page, self.site, self.name = page, site, name
        self.errors: list[str] = []
        self.loaded: set[str] = set()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: self.loaded.add(request.url))

    def open(self, path: Path) -> dict[str, int]:
        """Show a page, and measure it when its formulas are set."""
        self.errors.clear()
        self.loaded.clear()
        self.page.goto(f"{self.site}/{path.relative_to(HTML).as_posix()}")
        self.page.evaluate("window.MathJax?.startup?.promise?.then(() => new Promise(requestAnimationFrame))")
        return self.page.evaluate(MEASURE)

    def barriers(self) -> list[tuple[str, int, str]]:
        """What axe calls serious or critical: its name, how often, and the first place."""
        found = Axe().run(self.page).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        return [(one["id"], len(one["nodes"]), one["nodes"][0]["html"][:200]) for one in grave]

    def weight(self) -> int:
        """The bytes of what was loaded, each file compressed, but for the page's own pictures, films and sounds."""
        files = [HTML / unquote(urlsplit(url).path).lstrip("/") for url in self.loaded]
        own = [file for file in files if "_images" not in file.parts and file.suffix not in (".wav", ".mp4")]
        return sum(map(compressed, own))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_fits_and_has_no_barriers(view: View, path: Path) -> None:
    """Each page light on a desk and dark on a phone, since colours do not move lines; one of each kind in all four views.

    axe takes seconds: of the pages it sees one in the light and the next in the dark. The API's pages are alike.
    """
    kind, usual = name(path) in ONE_OF_EACH_KIND, view.name in USUAL
    in_turn = view.name == USUAL[PAGES.index(path) % len(USUAL)]
    api = name(path).startswith("reference/api/")
    if not (kind or (in_turn if api else usual)):
        pytest.skip("looked at in other views")
    found = view.open(path)
    assert not view.errors
    assert not found["page"], "the page is wider than the window"
    assert not found["hidden"], "something is cut off, and nothing shows it"
    assert not found["wrapped"], "code that wraps loses what its indentation says"
    assert not found["stretched"], "a picture that is higher or wider than it was drawn"
    assert not found["tiny"], "a formula that has place enough, in letters smaller than the text's"
    assert not found["small"], "a figure with fewer than twice the points that it is shown with"
    assert view.weight() <= LARGEST, f"{view.weight() / 1e6:.2f} MB"
    if kind or (in_turn and not api):
        assert not view.barriers()


def test_nearly_all_formulas_fit_a_phone(browser: Browser, site: str) -> None:
    view = View(browser.new_page(viewport={"width": PHONE, "height": 900}), site)
    found = {name(path): view.open(path) for path in PAGES if not name(path).startswith("reference/api/")}
    formulas = sum(one["formulas"] for one in found.values())
    scrolling = {page: one["scrolling"] for page, one in found.items() if one["scrolling"]}
    assert formulas > 200
    assert sum(scrolling.values()) <= 0.05 * formulas, scrolling


def test_search_finds_top_p_in_the_lesson_on_decoding(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site}/search.html?q=top-p")
    first = page.wait_for_selector("#search-results li a")
    assert "decoding.html" in first.get_attribute("href")
