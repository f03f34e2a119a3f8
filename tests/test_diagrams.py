"""Diagrams: where boxes stand, which edges arrows join, what is refused."""

import xml.etree.ElementTree as ElementTree

import pytest

from companion.diagrams import COLUMN, ROW, Arrow, Box, Diagram, Frame
from tests.conftest import rejects

BRANCH = [Box("in", 0, 0, "tokens", "data"), Box("split", 0, 1, kind="split"), Box("mlp", 1, 1, "MLP"),
          Box("sum", 0, 2, "+", "join")]  # fmt: skip
ARROWS = [Arrow("in", "split", "2 × 3"), Arrow("split", "mlp"), Arrow("split", "sum"), Arrow("mlp", "sum")]


def drawn(diagram, tag):
    root = ElementTree.fromstring(diagram._repr_svg_())
    return root.findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


def points(line):
    return [tuple(float(x) for x in corner.split(",")) for corner in line.get("points").split()]


def test_boxes_stand_on_the_grid_and_joins_are_round():
    ground, *boxes = drawn(Diagram(BRANCH), "rect")
    (x0, y0), (x1, y1) = ((float(box.get("x")), float(box.get("y"))) for box in boxes)
    assert (x1 - x0, y1 - y0) == (COLUMN, ROW)
    assert len(drawn(Diagram(BRANCH), "circle")) == 2
    assert float(ground.get("width")) > x1 + float(boxes[1].get("width"))


def test_a_kind_has_one_colour_and_no_two_kinds_share_it():
    kinds = ("data", "weights", "plain")
    colours = [drawn(Diagram([Box("a", 0, 0, "a", kind)]), "rect")[1].get("stroke") for kind in kinds]
    assert len(set(colours)) == 3


def test_an_arrow_goes_from_edge_to_edge_and_turns_once():
    """Down out of the MLP, then left into the sum; the others are straight."""
    lines = [points(line) for line in drawn(Diagram(BRANCH, ARROWS), "polyline")]
    boxes = {box.name: box for box in BRANCH}
    assert [len(line) for line in lines] == [2, 2, 2, 3]
    (x, y), (half, high) = boxes["mlp"].centre, boxes["mlp"].half
    (sx, sy), (radius, _) = boxes["sum"].centre, boxes["sum"].half
    assert lines[3] == [(x, y + high), (x, sy), (sx + radius, sy)]
    assert lines[1] == [(boxes["split"].centre[0] + boxes["split"].half[0], y), (x - half, y)]


def test_an_arrow_has_a_tip_but_where_a_line_only_divides():
    tips = [line.get("marker-end") is not None for line in drawn(Diagram(BRANCH, ARROWS), "polyline")]
    assert tips == [False, True, True, True]


def test_texts_are_written_and_escaped():
    diagram = Diagram([Box("a", 0, 0, "x < y & z"), Box("b", 0, 1, "b")], [Arrow("a", "b", "2 × 3")])
    assert [text.text for text in drawn(diagram, "text")] == ["2 × 3", "x < y & z", "b"]


def test_a_frame_holds_its_boxes_and_is_dashed():
    diagram = Diagram(BRANCH, ARROWS, [Frame(["mlp", "sum"], "4 ×")])
    frame = next(one for one in drawn(diagram, "rect") if one.get("stroke-dasharray"))
    left, top, width, height = (float(frame.get(name)) for name in ("x", "y", "width", "height"))
    for box in BRANCH[2:]:
        (x, y), (a, b) = box.centre, box.half
        assert left < x - a and x + a < left + width and top < y - b and y + b < top + height
    assert "4 ×" in [text.text for text in drawn(diagram, "text")]


def test_in_a_terminal_the_arrows_are_read():
    assert repr(Diagram(BRANCH, ARROWS)) == "in→split split→mlp split→sum mlp→sum"
    assert repr(Diagram(BRANCH)) == "in, split, mlp, sum"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Diagram([]), "boxes: got none"),
        (lambda: Diagram([*BRANCH, Box("in", 2, 0, "again")]), "'in'"),
        (lambda: Diagram([*BRANCH, Box("late", 0.5, 0, "upon")]), "'in' upon 'late'"),
        (lambda: Diagram([Box("a", 0, 0, "a text that no box can hold")]), "wanted at most 20 letters"),
        (lambda: Diagram(BRANCH, [Arrow("in", "out")]), "'out'"),
        (lambda: Diagram(BRANCH, frames=[Frame(["mlp", "up"], "")]), "'up'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, words):
    with rejects(words):
        make()
