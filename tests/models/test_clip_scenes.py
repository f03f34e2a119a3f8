"""CLIP's recipe: what a batch holds, what its scenes are not, and that the shipped one tells what stands where."""

import pytest
import torch

from companion.data.scene import render
from companion.data.scene_twins import twin
from companion.data.scenes import scenes, split_of
from companion.image.clip import Clip
from companion.image.clip.judging import picks
from companion.models import clip_scenes
from companion.models.clip_scenes import FORWARD, GROUNDS, LENGTH, OTHER, _other_way_round, build, draw, load, tokenizer
from tests.conftest import gen


@pytest.fixture(scope="module")
def shipped() -> Clip:
    return load()[0]


def test_a_batch_is_of_scenes_and_their_twins_on_two_grounds() -> None:
    pictures, ids, which = draw(41, gen())
    captions = [tokenizer().decode(row) for row in ids]
    assert pictures.shape == (41, 3, 32, 32) and ids.shape == (41, LENGTH)
    assert [captions.index(caption) for caption in captions] == [which.tolist().index(w) for w in which.tolist()]
    assert len({caption.split()[-1] for caption in captions[:14]}) == GROUNDS
    families = [captions[i::14] for i in range(13)]
    assert all(len({family[0], other}) == 2 for family in families for other in family[1:])
    shared = [len({*family[0].split()} & {*other.split()}) for family in families for other in family[1:]]
    assert min(shared) >= 2, "most words of a scene's caption are its twin's, too"
    again = draw(41, gen())
    assert torch.equal(again[0], pictures) and torch.equal(again[1], ids)


def test_the_stream_is_its_own_and_holds_nothing_that_is_held_out(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(clip_scenes, "render", lambda what: seen.extend(what) or render(what))
    draw(60, gen(3))
    assert {split_of(scene.names, scene.relation) for scene in seen} == {"train"} and len(seen) == 60
    assert not {*seen} & {*scenes(30, gen(3)).scenes}


def test_the_first_named_is_mostly_left_or_above_and_the_pictures_are_the_same() -> None:
    said = [tokenizer().decode(row).split() for seed in range(12) for row in draw(60, gen(seed))[1][:20]]
    pairs = [words for words in said if {"of", "above", "below"} & {*words}]
    share = sum(bool({"left", "above"} & {*words}) for words in pairs) / len(pairs)
    assert share == pytest.approx(0.5 + 0.5 * FORWARD, abs=0.1)
    for scene in [one for one in scenes(40, gen()).scenes if one.relation in OTHER]:
        turned = _other_way_round(scene)
        assert torch.equal(turned.render(), scene.render()) and turned.names == scene.names[::-1]


def test_it_tells_the_order_of_the_same_words_on_pairs_that_were_held_out(shipped: Clip) -> None:
    """Against chance, 1 in 2, and against itself untrained."""
    some = [scene for scene in scenes(200, gen(1), split="test").scenes if scene.relation]
    choices = [[scene.caption(), twin(scene, "order", gen(i)).caption()] for i, scene in enumerate(some)]
    assert all(sorted(a.split()) == sorted(b.split()) or "an" in f"{a} {b}" for a, b in choices)
    right = [
        (picks(m, tokenizer().encode, render(some), choices) == 0).float().mean() for m in (shipped, build().eval())
    ]
    assert right[0] > 0.93 and right[1] < 0.7


def test_measures_count_right_answers(monkeypatch) -> None:
    monkeypatch.setattr(clip_scenes, "picks", lambda model, encode, pictures, choices: torch.arange(len(pictures)) % 4)
    found = clip_scenes.measure(build().eval(), smoke=True)
    assert [found[f"picks_{split}"] for split in ("train", "valid", "test")] == [0.25] * 3
    assert all(0 <= found[f"finds_{split}"] <= 0.8 for split in ("train", "valid", "test"))


def test_the_shipped_one_has_the_built_ones_size_and_a_scale_within_bounds(shipped: Clip) -> None:
    assert [p.shape for p in build().parameters()] == [p.shape for p in shipped.parameters()]
    assert 2 < shipped.scale().item() <= 100.1
