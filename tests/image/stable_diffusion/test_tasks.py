"""Tasks for editing: one thing changes, all else is the same, and holes lie where it stands."""

import pytest
import torch

from companion.data.scene import render
from companion.data.scenes import split_of
from companion.image.stable_diffusion.tasks import holes, swaps
from tests.conftest import gen, rejects


@pytest.mark.parametrize("things", [1, 2])
def test_the_last_thing_alone_changes_and_captions_stay_as_long(things: int) -> None:
    before, after = swaps(40, gen(2), things=things)
    assert len(before) == len(after) == 40
    for old, new in zip(before, after, strict=True):
        assert len(old.things) == things and (old.background, old.relation) == (new.background, new.relation)
        assert old.things[:-1] == new.things[:-1] and new.names[-1] not in old.names
        assert (old.things[-1].x, old.things[-1].y, old.things[-1].size) == (
            new.things[-1].x,
            new.things[-1].y,
            new.things[-1].size,
        )
        assert len(old.caption().split()) == len(new.caption().split()) and old.caption() != new.caption()
        assert {split_of(some.names, some.relation) for some in (old, new)} == {"train"}
    assert len({scene.names for scene in after}) > 20


def test_the_same_from_the_same_generator_and_others_from_another() -> None:
    assert swaps(5, gen(1)) == swaps(5, gen(1)) != swaps(5, gen(3))


@pytest.mark.parametrize("things", [1, 2])
def test_the_pictures_differ_within_the_holes_alone(things: int) -> None:
    before, after = swaps(30, gen(4), things=things)
    apart = (render(before) - render(after)).abs().amax(1)
    hole = holes(before)
    assert torch.equal(hole, holes(after)) and hole.dtype == torch.bool
    assert apart[~hole].max() == 0 and all(apart[i][hole[i]].max() > 0.1 for i in range(30))
    assert torch.equal(hole.sum((1, 2)), torch.tensor([scene.things[-1].size ** 2 for scene in before]))


def test_bad_input() -> None:
    with rejects("n"):
        swaps(0, gen())
    with rejects("things"):
        swaps(3, gen(), things=3)
