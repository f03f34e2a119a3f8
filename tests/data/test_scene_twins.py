"""Twins: one change and no other, never true of the first picture, and of its split."""

from collections import Counter

import pytest

from companion.data.scene import BACKGROUNDS, RELATIONS, Scene
from companion.data.scene_layout import arrange
from companion.data.scene_twins import CHANGES, possible_changes, twin, twins, wrong_captions
from companion.data.scenes import scenes, split_of
from companion.data.sprites import THINGS
from tests.conftest import gen, rejects

PAIR, COUNT, SINGLE = arrange(
    [("mint", ("cat", "red star"), "left of"), ("navy", ("owl",) * 2, None), ("sky", ("blue heart",), None)], gen()
)


def differences(one: Scene, other: Scene) -> set[str]:
    nouns, colours = (
        [[getattr(THINGS[n], what) for n in s.names] for s in (one, other)] for what in ("noun", "colour")
    )
    found = {what for what in ("background", "relation") if getattr(one, what) != getattr(other, what)}
    if len(one.things) != len(other.things):
        return found | {"count"}
    if one.names != other.names and sorted(one.names) == sorted(other.names):
        return found | {"order"}
    return found | ({"thing"} if nouns[0] != nouns[1] else set()) | ({"colour"} if colours[0] != colours[1] else set())


@pytest.mark.parametrize("scene", [PAIR, COUNT, SINGLE], ids=lambda scene: scene.caption())
def test_a_twin_differs_by_the_change_alone(scene: Scene) -> None:
    for change in possible_changes(scene):
        for seed in range(12):
            assert differences(scene, twin(scene, change, gen(seed))) == {change}


def test_all_values_are_drawn_and_none_is_the_old_one() -> None:
    some = [twin(PAIR, change, gen(seed)) for change in ("background", "relation") for seed in range(60)]
    assert {t.background for t in some} == set(BACKGROUNDS) and {t.relation for t in some} == set(RELATIONS)
    assert {len(twin(COUNT, "count", gen(seed)).things) for seed in range(20)} == {1, 3}
    assert {twin(SINGLE, "colour", gen(seed)).names[0] for seed in range(60)} == {
        f"{c} heart" for c in ("red", "orange", "yellow", "green", "purple")
    }


def test_which_changes_a_scene_allows() -> None:
    assert possible_changes(PAIR) == ("background", "thing", "colour", "relation", "order")
    assert possible_changes(COUNT) == ("background", "thing", "count")
    assert {change for scene in (PAIR, COUNT, SINGLE) for change in possible_changes(scene)} == set(CHANGES)


@pytest.mark.parametrize("split", ["train", "test"])
def test_twins_stay_in_the_split_and_have_other_captions(split: str) -> None:
    some = scenes(200, gen(), split=split).scenes
    got = twins(some, gen(1))
    assert [split_of(t.names, t.relation) for t in got] == [split] * 200
    kinds = Counter(next(iter(differences(a, b))) for a, b in zip(some, got, strict=True))
    assert all(len(differences(a, b)) == 1 for a, b in zip(some, got, strict=True))
    if split == "train":
        assert kinds.keys() == set(CHANGES) and min(kinds.values()) > 5


def test_changes_can_be_chosen() -> None:
    some = [scene for scene in scenes(80, gen(2)).scenes if scene.relation]
    got = twins([*some, SINGLE], gen(1), changes=["order", "relation"])
    kinds = Counter(next(iter(differences(a, b))) for a, b in zip(some, got, strict=False))
    assert kinds["order"] + kinds["relation"] > 0.9 * len(some) and differences(SINGLE, got[-1])


def test_wrong_captions_are_different_and_wrong() -> None:
    for scene in (PAIR, COUNT, SINGLE):
        for seed in range(10):
            wrong = wrong_captions(scene, 3, gen(seed))
            assert len({*wrong, scene.caption()}) == 4
    # What is also true of the picture, said the other way round, is never among them.
    assert not any("a red star right of a cat on mint" in wrong_captions(PAIR, 12, gen(seed)) for seed in range(10))
    assert wrong_captions(PAIR, 3, gen(4)) == wrong_captions(PAIR, 3, gen(4))


def test_bad_input() -> None:
    with rejects("change"):
        twin(SINGLE, "order", gen())
    for changes in ([], ["size"]):
        with rejects("changes"):
            twins([SINGLE], gen(), changes=changes)
    for n in (0, 13):
        with rejects("n"):
            wrong_captions(SINGLE, n, gen())
