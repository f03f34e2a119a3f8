"""Diagrams of models: boxes on a grid, arrows with shapes beside them, dashed frames; drawn as SVG.

One small vocabulary for the whole course, so that a box of one colour means the same on every page: `Box.kind` says whether it
is what goes in or comes out (``"data"``), has weights (``"weights"``) or none (``"plain"``), is the circle where two arrows
meet (``"join"``) or the dot where one divides (``"split"``). A row of the grid is a step of the computation, a column a stream
of it. A notebook draws the last expression of a cell if it is a `Diagram`.
"""

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from companion.plotting import BLACK, BLUE, GREEN

__all__ = ["Arrow", "Box", "Diagram", "Frame"]

COLUMN, ROW, MARGIN = 178, 58, 12  # pixels
WIDTH, HEIGHT = 148, 34
RADII = {"join": 11, "split": 3}
LETTER = 7.3  # pixels of a letter at 14 pixels, on average: an upper estimate for running text
COLOURS = {"data": ("#ffffff", BLACK), "weights": ("#e3eff7", BLUE), "plain": ("#e4f4ee", GREEN)}
GREY = "#5b6570"


@dataclass(frozen=True)
class Box:
    """A step of the computation.

    Attributes:
        name: what arrows and frames call it.
        column: where it stands, in columns from 0; halves are allowed.
        row: where it stands, in rows from 0, downwards.
        text: what is written in it; a ``"join"`` has one sign.
        kind: ``"data"``, ``"weights"``, ``"plain"``, ``"join"`` or ``"split"``, which has no text.
    """

    name: str
    column: float
    row: float
    text: str = ""
    kind: Literal["data", "weights", "plain", "join", "split"] = "weights"

    @property
    def centre(self) -> tuple[float, float]:
        return MARGIN + WIDTH / 2 + COLUMN * self.column, MARGIN + HEIGHT / 2 + ROW * self.row

    @property
    def half(self) -> tuple[float, float]:
        """Half its width and half its height."""
        radius = RADII.get(self.kind)
        return (radius, radius) if radius else (WIDTH / 2, HEIGHT / 2)


@dataclass(frozen=True)
class Arrow:
    """From one box to another: straight along a column or a row, else along its column first and then along the row.

    Attributes:
        start: the name of the box where it begins.
        end: the name of the box where it ends.
        text: written beside it, as a rule the shape of what it carries.
    """

    start: str
    end: str
    text: str = ""


@dataclass(frozen=True)
class Frame:
    """A dashed frame around boxes, with a note at its upper right corner, such as ``"4 ×"``."""

    names: Sequence[str]
    text: str


@dataclass(frozen=True)
class Diagram:
    """Boxes, arrows and frames as one picture.

    Raises:
        ValueError: two boxes of one name or one place, an unknown name, or a text that is wider than its box.
    """

    boxes: Sequence[Box]
    arrows: Sequence[Arrow] = ()
    frames: Sequence[Frame] = ()

    def __post_init__(self) -> None:
        names = [box.name for box in self.boxes]
        twice = {name for name in names if names.count(name) > 1}
        if not names or twice:
            raise ValueError(f"boxes: got {sorted(twice) or 'none'}, wanted at least one, each with a name of its own")
        for one, other in itertools.combinations(self.boxes, 2):
            apart = [abs(a - b) for a, b in zip(one.centre, other.centre, strict=True)]
            if all(gap < a + b for gap, a, b in zip(apart, one.half, other.half, strict=True)):
                raise ValueError(f"boxes: got {one.name!r} upon {other.name!r}, wanted a place for each")
        for box in self.boxes:
            if box.kind not in RADII and len(box.text) * LETTER > WIDTH:
                raise ValueError(f"text: got {box.text!r}, wanted at most {int(WIDTH / LETTER)} letters in a box")
        used = {name for arrow in self.arrows for name in (arrow.start, arrow.end)}
        used |= {name for frame in self.frames for name in frame.names}
        if used - set(names):
            raise ValueError(f"names: got {sorted(used - set(names))}, wanted some of {names}")

    def __repr__(self) -> str:
        return " ".join(f"{arrow.start}→{arrow.end}" for arrow in self.arrows) or ", ".join(b.name for b in self.boxes)

    def _repr_svg_(self) -> str:
        """The picture; a notebook asks for it."""
        box = {one.name: one for one in self.boxes}
        routes = [(arrow, _route(box[arrow.start], box[arrow.end])) for arrow in self.arrows]
        parts = [_frame([box[name] for name in frame.names], frame.text) for frame in self.frames]
        parts += [_line(points, tip=box[arrow.end].kind != "split") for arrow, points in routes]
        parts += [_label(arrow.text, points) for arrow, points in routes if arrow.text]
        parts += [_box(one) for one in self.boxes]
        reach = [(x, y) for _, points in routes for x, y in points]
        reach += [(x + a, y + b) for one in self.boxes for (x, y), (a, b) in [(one.centre, one.half)]]
        # A label stands to the right of its arrow.
        reach += [(_beside(points)[0] + 0.88 * LETTER * len(a.text), 0) for a, points in routes if a.text]
        width, height = (max(column) + MARGIN for column in zip(*reach, strict=True))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" font-family="Helvetica, Arial, Liberation Sans, sans-serif" font-size="14">'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0 8 4 0 8z" fill="{BLACK}"/></marker></defs>'
            f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>' + "".join(parts) + "</svg>"
        )


def _route(start: Box, end: Box) -> list[tuple[float, float]]:
    """The corners of an arrow's line, from the edge of one box to the edge of the other."""
    corner = start.centre[0], end.centre[1]
    straight = corner in (start.centre, end.centre)
    first, last = (end.centre, start.centre) if straight else (corner, corner)
    return [_edge(start, first), *([] if straight else [corner]), _edge(end, last)]


def _edge(box: Box, towards: tuple[float, float]) -> tuple[float, float]:
    """The middle of the side of a box that faces a point in its row or column."""
    (x, y), (a, b) = box.centre, box.half
    if abs(towards[0] - x) > abs(towards[1] - y):
        return (x + a if towards[0] > x else x - a), y
    return x, (y + b if towards[1] > y else y - b)


def _beside(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Right of the middle of the last upright piece of a line, or above the middle of a level one."""
    pieces = list(itertools.pairwise(points))
    upright = [piece for piece in pieces if piece[0][0] == piece[1][0]]
    (x0, y0), (x1, y1) = (upright or pieces)[-1]
    return ((x0 + x1) / 2 + 6, (y0 + y1) / 2 + 4) if upright else (min(x0, x1) + 4, y0 - 5)


def _line(points: list[tuple[float, float]], *, tip: bool) -> str:
    corners, end = " ".join(f"{x:g},{y:g}" for x, y in points), ' marker-end="url(#tip)"' if tip else ""
    return f'<polyline points="{corners}" fill="none" stroke="{BLACK}" stroke-width="1.4"{end}/>'


def _label(text: str, points: list[tuple[float, float]]) -> str:
    x, y = _beside(points)
    return f'<text x="{x:g}" y="{y:g}" font-size="12.5" fill="{GREY}">{html.escape(text)}</text>'


def _box(box: Box) -> str:
    (x, y), (a, b) = box.centre, box.half
    text = f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle" fill="{BLACK}">{html.escape(box.text)}</text>'
    if box.kind in RADII:
        ground = "#ffffff" if box.kind == "join" else BLACK
        return f'<circle cx="{x:g}" cy="{y:g}" r="{a}" fill="{ground}" stroke="{BLACK}" stroke-width="1.4"/>{text}'
    ground, edge = COLOURS[box.kind]
    return (
        f'<rect x="{x - a:g}" y="{y - b:g}" width="{2 * a:g}" height="{2 * b:g}" rx="6" '
        f'fill="{ground}" stroke="{edge}" stroke-width="1.4"/>{text}'
    )


def _frame(boxes: list[Box], text: str) -> str:
    edges = [(x - a, y - b, x + a, y + b) for box in boxes for (x, y), (a, b) in [(box.centre, box.half)]]
    left, top = (min(column) - 8 for column in list(zip(*edges, strict=True))[:2])
    right, bottom = (max(column) + 8 for column in list(zip(*edges, strict=True))[2:])
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}" rx="8" fill="none" '
        f'stroke="{GREY}" stroke-dasharray="5 4"/>'
        f'<text x="{right - 6:g}" y="{bottom - 6:g}" text-anchor="end" font-size="12.5" fill="{GREY}">'
        f"{html.escape(text)}</text>"
    )
