"""The picture of the first page and the README: five figures that the lessons store, side by side.

``python -m tests.book.hero`` pastes them anew into ``book/_static/hero.png`` after the lessons have been run.
"""

import base64
import io

from PIL import Image

from tests.lessons import notebooks

# A lesson and how the alternative text of one of its figures begins.
FIGURES = (
    ("3_06_image/ddpm", "Ten columns of pictures: noise alone"),
    ("3_03_foundations/losses", "Six panels over the grey ring"),
    ("3_03_foundations/attention", "Two heat maps, one for each model: rows"),
    ("3_03_foundations/latent_space", "A square of nine by nine decoded digits"),
    ("3_01_overview/audio", "Three rows of spectrograms"),
)
WIDTH, GAP = 640, 24


def figure(lesson: str, alt: str) -> Image.Image:
    """The stored figure of a lesson whose alternative text begins with ``alt``, ``WIDTH`` pixels wide."""
    for cell in notebooks.code_cells(notebooks.read(notebooks.BOOK / f"{lesson}.ipynb")):
        if cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").startswith(alt):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
                    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.LANCZOS)
    raise ValueError(f"{lesson}: got no figure whose alt text begins with {alt!r}, wanted one; see FIGURES")


def main() -> None:
    """Lay the figures out in two columns, each under the shorter one so far."""
    bottoms, places = [GAP, GAP], []
    for lesson, alt in FIGURES:
        picture, column = figure(lesson, alt), bottoms.index(min(bottoms))
        places.append((picture, (GAP + column * (WIDTH + GAP), bottoms[column])))
        bottoms[column] += picture.height + GAP
    sheet = Image.new("RGB", (2 * WIDTH + 3 * GAP, max(bottoms)), "white")
    for picture, place in places:
        sheet.paste(picture, place)
    sheet.save(notebooks.BOOK / "_static" / "hero.png", optimize=True)


if __name__ == "__main__":
    main()
