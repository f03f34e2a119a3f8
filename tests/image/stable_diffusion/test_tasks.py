"""Tasks for editing: one thing changes, all else is the same, and holes lie where it stands."""

import torch

from companion.data.scene import Placed, Scene, render
from companion.data.scenes import split_of
from companion.image.stable_diffusion.tasks import holes, shifts, swaps
from tests.conftest import gen, rejects


def test_one_thing_becomes_another_and_captions_stay_as_long() -> None:
    before, after = swaps(40, gen(2))
    assert len(before) == len(after) == 40
    for old, new in zip(before, after, strict=True):
        (a,), (b,) = old.things, new.things
        assert (a.x, a.y, a.size) == (b.x, b.y, b.size) and a.name != b.name and old.background == new.background
        assert len(old.caption().split()) == len(new.caption().split())
        assert {split_of(some.names, None) for some in (old, new)} == {"train"}
    assert len({scene.names for scene in after}) > 20
    assert swaps(5, gen(1)) == swaps(5, gen(1)) != swaps(5, gen(3))


def test_the_pictures_differ_within_the_holes_alone() -> None:
    before, after = swaps(30, gen(4))
    apart = (render(before) - render(after)).abs().amax(1)
    hole = holes(before)
    assert torch.equal(hole, holes(after)) and hole.dtype == torch.bool
    assert apart[~hole].max() == 0 and all(apart[i][hole[i]].max() > 0.1 for i in range(30))
    assert torch.equal(hole.sum((1, 2)), torch.tensor([scene.things[0].size ** 2 for scene in before]))


def test_a_shift_is_the_distance_of_the_middles_where_one_thing_is_read_in_both() -> None:
    at = [Scene("mint", (Placed("red heart", x, y, 18),)) for x, y in ((2, 3), (5, 7), (10, 1))]
    two = Scene("mint", (Placed("red heart", 1, 10, 14), Placed("cat", 17, 10, 14)), "left of")
    larger = Scene("mint", (Placed("cat", 4, 5, 22),))
    pictures = render([*at, two, larger])
    found = shifts(pictures[[0, 0, 0, 3, 1]], pictures[[0, 1, 4, 0, 3]])
    torch.testing.assert_close(found, torch.tensor([0.0, 5.0, (4**2 + 4**2) ** 0.5]))
    assert len(shifts(pictures[3:4], pictures[:1])) == 0


def test_bad_input() -> None:
    with rejects("n"):
        swaps(0, gen())
    two = Scene("mint", (Placed("red heart", 1, 10, 14), Placed("cat", 17, 10, 14)), "left of")
    with rejects("some"):
        holes([two])
    with rejects("after"):
        shifts(render([two]), render([two, two]))
