"""Places: within the picture, apart from each other, and as the relation says, for every kind of scene."""

import pytest

from companion.data.scene import RELATIONS, Scene
from companion.data.scene_layout import SIZES, arrange
from tests.conftest import gen, rejects

CONTENTS = [("mint", ("cactus",), None), ("navy", ("red heart",) * 2, None), ("sky", ("owl",) * 3, None)]
PAIRS = [("white", ("cactus", "owl"), relation) for relation in RELATIONS]


def boxes(scene: Scene) -> list[tuple[int, int, int, int]]:
    return [(one.x, one.y, one.x + one.size, one.y + one.size) for one in scene.things]


@pytest.mark.parametrize("contents", CONTENTS + PAIRS, ids=str)
def test_nothing_overlaps_and_the_contents_are_kept(contents: tuple) -> None:
    made = arrange([contents] * 150, gen())
    for scene in made:
        assert (scene.background, scene.names, scene.relation) == contents
        places = boxes(scene)
        for i, (left, top, right, bottom) in enumerate(places):
            assert min(left, top) >= 0 and max(right, bottom) <= 32
            for other in places[i + 1 :]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    assert {one.size for scene in made for one in scene.things} == set(SIZES[len(contents[1])])


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_relation_holds_along_its_axis_and_not_along_the_other(relation: str) -> None:
    for scene in arrange([("white", ("cactus", "owl"), relation)] * 150, gen(1)):
        first, second = boxes(scene)
        if relation in ("right of", "below"):
            first, second = second, first
        along, across = (0, 1) if relation in ("left of", "right of") else (1, 0)
        assert first[along + 2] <= second[along]
        assert abs(first[across] - second[across]) <= 4


def test_places_are_spread_over_the_picture() -> None:
    corners = {(one.x, one.y) for scene in arrange(CONTENTS[:1] * 600, gen()) for one in scene.things}
    assert {0, 14} <= {x for x, _ in corners} and {0, 14} <= {y for _, y in corners}
    rows = {scene.things[0].y for scene in arrange(PAIRS[:1] * 200, gen())}
    assert rows == set(range(18))
    two = arrange(CONTENTS[1:2] * 200, gen())
    beside = sum(scene.things[0].x + scene.things[0].size <= scene.things[1].x for scene in two)
    assert 60 < beside < 140, "a count has no axis of its own"


def test_the_same_numbers_give_the_same_places_whatever_else_is_in_the_batch() -> None:
    assert arrange(PAIRS, gen()) == arrange(PAIRS, gen()) != arrange(PAIRS, gen(1))
    assert arrange(PAIRS[:1], gen()) == arrange(PAIRS, gen())[:1]


def test_bad_input() -> None:
    for names in ((), ("cactus",) * 4):
        with rejects("names"):
            arrange([("mint", names, None)], gen())
    with rejects("relation"):
        arrange([("mint", ("cactus", "owl"), None)], gen())
