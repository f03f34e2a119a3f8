"""The picture of the first page and the README: six figures that the lessons store, side by side.

``python -m tests.book.hero`` pastes them anew into ``book/_static/hero.png`` after the lessons have been run.
"""

import base64
import io

from PIL import Image

from tests.lessons import notebooks

FIGURES = (  # a lesson, and the name of one of its figures
    ("3_06_image/ddpm", "fig-ddpm-back"),
    ("3_03_foundations/losses", "fig-losses-six"),
    ("3_03_foundations/attention", "fig-attention-dates"),
    ("3_03_foundations/latent_space", "fig-latent-plane"),
    ("3_01_overview/audio", "fig-audio-asked"),
    ("3_07_video/sora", "fig-sora-live-frames"),
)
WIDTH, GAP = 640, 24


def figure(lesson: str, name: str) -> Image.Image:
    """The stored figure of a lesson with this name, ``WIDTH`` pixels wide."""
    for cell in notebooks.code_cells(notebooks.read(notebooks.BOOK / f"{lesson}.ipynb")):
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == name:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
                    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.LANCZOS)
    raise ValueError(f"{lesson}: got no figure named {name!r}, wanted one; see FIGURES")


def main() -> None:
    """Lay the figures out in two columns, each under the shorter one so far."""
    bottoms, places = [GAP, GAP], []
    for lesson, name in FIGURES:
        picture, column = figure(lesson, name), bottoms.index(min(bottoms))
        places.append((picture, (GAP + column * (WIDTH + GAP), bottoms[column])))
        bottoms[column] += picture.height + GAP
    sheet = Image.new("RGB", (2 * WIDTH + 3 * GAP, max(bottoms)), "white")
    for picture, place in places:
        sheet.paste(picture, place)
    sheet.save(notebooks.BOOK / "_static" / "hero.png", optimize=True)


if __name__ == "__main__":
    main()
