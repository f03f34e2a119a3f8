"""Scenes without end: what is held out for a test never occurs in training, and its parts all do."""

from collections import Counter

import pytest
import torch

from companion.data.scene import BACKGROUNDS, RELATIONS, Scene, words
from companion.data.scenes import (
    SceneSet,
    _allowed,
    _split_of_thing,
    _split_of_triple,
    held_out_things,
    scenes,
    split_of,
)
from companion.data.sprites import COLOURS, SHAPES, THINGS
from tests.conftest import gen, rejects


@pytest.fixture(scope="module")
def parts() -> dict[str, SceneSet]:
    return {split: scenes(800, gen(), split=split) for split in ("train", "valid", "test")}


def seen(scene: Scene) -> set[tuple[str, ...]]:
    """What must not be in two splits: pairs (colour, shape), and the triple as the picture shows it."""
    facts = {(t.colour, t.noun) for t in (THINGS[name] for name in scene.names) if t.colour}
    if scene.relation is not None:
        names = scene.names if scene.relation in ("left of", "above") else scene.names[::-1]
        facts.add((names[0], "beside" if scene.relation in ("left of", "right of") else "above", names[1]))
    return facts


def test_no_held_out_pair_or_triple_occurs_in_training(parts: dict[str, SceneSet]) -> None:
    """Every scene says by what it is held out, and none of that is in a long run of training scenes, nor can be."""
    trained = {fact for i in range(3) for scene in scenes(800, gen(i + 1)).scenes for fact in seen(scene)}
    for split in ("valid", "test"):
        for scene in parts[split].scenes:
            assert seen(scene) - trained, scene
    singles, pairs = _allowed("train")
    possible = {(THINGS[n].colour, THINGS[n].noun) for n in singles} | {
        (first, ("beside", "above")[axis], second) for first, axis, second in pairs
    }
    assert trained <= possible
    for split in ("valid", "test"):
        assert all(seen(scene) - possible for scene in parts[split].scenes)


def test_split_of_says_where_a_scene_comes_from(parts: dict[str, SceneSet]) -> None:
    for split, part in parts.items():
        assert {split_of(scene.names, scene.relation) for scene in part.scenes} == {split} and part.split == split


def test_both_ways_to_say_a_picture_are_in_one_split() -> None:
    names = [*THINGS]
    for i in range(0, 86, 5):
        first, second = names[i], names[(i * 7 + 3) % 86]
        for one, other in (("left of", "right of"), ("above", "below")):
            assert split_of((first, second), one) == split_of((second, first), other)


def test_how_much_is_held_out() -> None:
    held = held_out_things()
    assert all(_split_of_thing(name) == ("test" if name in held else "train") for name in THINGS)
    assert len(held) == 6 and {THINGS[name].noun for name in held} == set(SHAPES)
    assert max(Counter(THINGS[name].colour for name in held).values()) == 2
    shares = Counter(_split_of_triple(a, axis, b) for a in THINGS for axis in (0, 1) for b in THINGS)
    assert shares["test"] / shares.total() == pytest.approx(0.15, abs=0.01)
    assert shares["valid"] / shares.total() == pytest.approx(0.05, abs=0.01)


def test_every_word_colour_and_shape_of_a_test_occurs_in_training(parts: dict[str, SceneSet]) -> None:
    said = {split: {word for caption in part.captions for word in caption.split()} for split, part in parts.items()}
    assert said["test"] | said["valid"] <= said["train"] <= set(words())
    things = [THINGS[name] for scene in parts["train"].scenes for name in scene.names]
    assert {t.colour for t in things} == {*COLOURS, None} and set(SHAPES) <= {t.noun for t in things}


def test_kinds_grounds_and_relations_are_drawn_in_their_shares(parts: dict[str, SceneSet]) -> None:
    part = parts["train"]
    kinds = Counter("pair" if scene.relation else len(scene.things) for scene in part.scenes)
    for kind, share in {"pair": 0.55, 1: 0.25, 2: 0.1, 3: 0.1}.items():
        assert kinds[kind] / 800 == pytest.approx(share, abs=0.05)
    assert all(scene.relation for scene in parts["valid"].scenes)
    for value, wanted in (("background", BACKGROUNDS), ("relation", RELATIONS)):
        found = Counter(v for scene in part.scenes if (v := getattr(scene, value)))
        assert found.keys() == set(wanted) and max(found.values()) < 2 * min(found.values())


def test_pictures_are_the_scenes_and_the_models_values_I44(parts: dict[str, SceneSet]) -> None:
    part = parts["test"]
    assert part.images.shape == (800, 3, 32, 32) and part.images.dtype == torch.float32
    assert part.images.abs().max() <= 1 and part.images.min() < -0.9
    for i in (0, 17, 799):
        assert torch.equal(part.images[i], part.scenes[i].render()) and part.captions[i] == part.scenes[i].caption()


def test_a_seed_gives_the_same_scenes_and_the_next_call_others() -> None:
    generator = gen(3)
    first, second = scenes(50, generator), scenes(50, generator)
    assert first.scenes == scenes(50, gen(3)).scenes != second.scenes
    assert len(first) == 50


def test_licence_source_and_a_short_repr(parts: dict[str, SceneSet]) -> None:
    assert (
        "CC BY 4.0" in repr(parts["train"]) and "Twemoji" in parts["train"].source and len(repr(parts["train"])) < 300
    )


def test_bad_input() -> None:
    with rejects("split"):
        scenes(3, gen(), split="all")
    with rejects("n"):
        scenes(0, gen())
