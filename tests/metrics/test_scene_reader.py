"""Reading by rule: true drawings are read as they are, bad ones worse by degrees, and a wrong picture gets no credit."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from companion.data.scene import BACKGROUNDS, Placed, Scene, render
from companion.data.scene_layout import arrange
from companion.data.scenes import SceneSet, scenes
from companion.data.sprites import THINGS
from companion.metrics.scene_reader import Reading, _templates, read_scenes, relation_of, score
from tests.conftest import gen, rejects

RESPECTS = ("background", "count", "things", "colours", "relation", "all")


@pytest.fixture(scope="module")
def true() -> SceneSet:
    return scenes(50, gen(5), split="test")


def blurred(pictures: Tensor, times: int) -> Tensor:
    """Each time the mean of a pixel and its neighbours, 1-2-1 along both axes."""
    kernel = torch.tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel / 16).expand(3, 1, 3, 3)
    for _ in range(times):
        pictures = F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    return pictures


def test_true_drawings_are_read_as_they_are_places_and_all(true: SceneSet) -> None:
    more = scenes(50, gen(6))
    for part in (true, more):
        for reading, scene in zip(read_scenes(part.images), part.scenes, strict=True):
            assert reading.background == scene.background
            assert sorted(map(str, reading.things)) == sorted(map(str, scene.things))
            assert reading.explained == pytest.approx(1, abs=1e-3)
    assert score(true.images, true.scenes).shares() == dict.fromkeys(RESPECTS, 1.0)


def test_things_are_read_on_each_ground() -> None:
    names = [*THINGS]
    every = arrange(
        [(g, (names[(9 * i + 2 * k) % 86],), None) for i, g in enumerate(BACKGROUNDS) for k in range(10)], gen()
    )
    assert score(render(every), every).all.all()


def test_noise_and_blur_make_it_worse_by_degrees(true: SceneSet) -> None:
    """What it reads of everything: nearly all up to a noise of a tenth of the range, little of what is hardly seen."""
    some = slice(0, 25)
    pictures, asked = true.images[some], true.scenes[some]
    noise = torch.randn(pictures.shape, generator=gen())
    noisy = [float(score(pictures + sd * noise, asked).all.float().mean()) for sd in (0.2, 0.4, 0.8)]
    assert noisy[0] > 0.9 and noisy[1] > 0.7 and noisy[2] < 0.6
    soft = [float(score(blurred(pictures, times), asked).all.float().mean()) for times in (1, 4, 12)]
    assert soft[0] > 0.9 and soft[1] > 0.6 and soft[2] < soft[1]


def test_nothing_is_read_in_an_empty_or_a_grey_picture() -> None:
    plain = torch.tensor([*BACKGROUNDS.values()])[:, :, None, None].expand(-1, 3, 32, 32) / 127.5 - 1
    for reading, ground in zip(read_scenes(plain), BACKGROUNDS, strict=True):
        assert reading == Reading(ground, (), 0.0)


CAT, STAR = Placed("cat", 1, 9, 14), Placed("red star", 17, 9, 14)
ASKED = Scene("mint", (CAT, STAR), "left of")


def swapped(**changes: object) -> Scene:
    return Scene(**{"background": "mint", "things": (CAT, STAR), "relation": "left of"} | changes)


@pytest.mark.parametrize(
    ("drawn", "wrong"),
    [
        (ASKED, set()),
        (swapped(things=(STAR, CAT), relation="right of"), set()),  # the same picture in other words
        (swapped(background="sky"), {"background"}),
        (swapped(things=(CAT, Placed("red cross", 17, 9, 14))), {"things"}),
        (swapped(things=(CAT, Placed("blue star", 17, 9, 14))), {"colours"}),
        (swapped(things=(Placed("cat", 17, 9, 14), Placed("red star", 1, 9, 14)), relation="right of"), {"relation"}),
        (swapped(things=(Placed("cat", 9, 0, 14), Placed("red star", 9, 17, 14)), relation="above"), {"relation"}),
        (swapped(things=(CAT,), relation=None), {"count", "things", "colours", "relation"}),
        (swapped(things=(CAT, Placed("cat", 17, 9, 14)), relation=None), {"things", "colours", "relation"}),
    ],
    ids=lambda value: value.caption() if isinstance(value, Scene) else ",".join(sorted(value)),
)
def test_each_respect_is_judged_by_itself(drawn: Scene, wrong: set[str]) -> None:
    found = score(render([drawn]), [ASKED])
    assert {name for name in RESPECTS if not getattr(found, name)} == wrong | ({"all"} if wrong else set())


def test_a_swap_of_colours_is_a_binding_error() -> None:
    """Of two kinds each keeps its place and has the other's colour; of one kind, the things have changed places."""
    heart, cross = Placed("red heart", 1, 9, 14), Placed("blue cross", 17, 9, 14)
    asked = Scene("sand", (heart, cross), "left of")
    drawn = Scene("sand", (Placed("blue heart", 1, 9, 14), Placed("red cross", 17, 9, 14)), "left of")
    found = score(render([drawn]), [asked])
    assert found.things and found.relation and not found.colours
    asked = Scene("sand", (heart, Placed("blue heart", 17, 9, 14)), "left of")
    drawn = Scene("sand", (Placed("blue heart", 1, 9, 14), Placed("red heart", 17, 9, 14)), "left of")
    found = score(render([drawn]), [asked])
    assert found.things and found.colours and not found.relation


def test_shares_count_what_was_asked() -> None:
    single = Scene("mint", (Placed("cat", 5, 5, 20),))
    found = score(render([single, ASKED]), [single, swapped(things=(CAT, Placed("blue star", 17, 9, 14)))])
    assert found.has_colours.tolist() == [False, True] == found.has_relation.tolist()
    assert found.shares() == pytest.approx(
        {"background": 1, "count": 1, "things": 1, "colours": 0, "relation": 1, "all": 0.5}
    )


def test_the_gain_is_the_squared_error_that_a_thing_explains() -> None:
    """eq-scenes-gain as printed, for a single thing: all of it."""
    scene = Scene("sky", (Placed("owl", 3, 4, 20),))
    rest = scene.render() - (torch.tensor(BACKGROUNDS["sky"]) / 127.5 - 1)[:, None, None]
    drawn = _templates([*BACKGROUNDS].index("sky"), 20)[[*THINGS].index("owl")].reshape(3, 20, 20)
    torch.testing.assert_close(rest[:, 4:24, 3:23], drawn, rtol=0, atol=1e-5)
    assert rest.pow(2).sum().item() == pytest.approx(drawn.pow(2).sum().item(), rel=1e-5)


def test_relations_go_by_the_middles() -> None:
    assert relation_of(Placed("cat", 0, 0, 10), Placed("cat", 15, 4, 10)) == "left of"
    assert relation_of(Placed("cat", 15, 4, 10), Placed("cat", 0, 0, 10)) == "right of"
    assert relation_of(Placed("cat", 4, 0, 10), Placed("cat", 0, 15, 10)) == "above"
    assert relation_of(Placed("cat", 0, 15, 10), Placed("cat", 4, 0, 10)) == "below"
    assert relation_of(Placed("cat", 0, 0, 20), Placed("cat", 8, 10, 4)) == "above", "middles are level: 0 against 2"


def test_the_batch_does_not_matter(true: SceneSet) -> None:
    alone = [read_scenes(true.images[i : i + 1])[0] for i in range(4)]
    for one, other in zip(alone, read_scenes(true.images[:4]), strict=True):
        assert (one.background, one.things) == (other.background, other.things)


def test_bad_input() -> None:
    with rejects("pictures"):
        read_scenes(torch.zeros(1, 1, 32, 32))
    with rejects("pictures"):
        read_scenes(torch.full((1, 3, 32, 32), torch.nan))
    with rejects("asked"):
        score(torch.zeros(2, 3, 32, 32), [ASKED])
