"""One scene: its caption says what it shows, its drawing shows what it says."""

import pytest
import torch

from companion.data.scene import BACKGROUNDS, RELATIONS, Placed, Scene, render
from companion.data.sets import to_display
from companion.data.sprites import THINGS, sprites
from tests.conftest import rejects

CACTUS, BALL = Placed("cactus", 3, 17, 14), Placed("soccer ball", 4, 1, 15)
HEARTS = (Placed("red heart", 0, 4, 14), Placed("red heart", 15, 4, 15))


@pytest.mark.parametrize(
    ("scene", "full", "terse"),
    [
        (Scene("mint", (CACTUS, BALL), "below"), "a cactus below a soccer ball on mint", "a cactus and a soccer ball"),
        (Scene("navy", HEARTS), "two red hearts on navy", "hearts"),
        (Scene("sky", (Placed("orange cross", 9, 9, 20),)), "an orange cross on sky", "a cross"),
        (Scene("sand", (Placed("fish", 0, 0, 13),) * 3), "three fish on sand", "fish"),
        (
            Scene("white", (Placed("blue star", 0, 8, 14), Placed("octopus", 17, 8, 14)), "left of"),
            "a blue star left of an octopus on white",
            "a star and an octopus",
        ),
    ],
)
def test_captions(scene: Scene, full: str, terse: str) -> None:
    assert scene.caption() == full
    assert scene.caption(terse=True) == terse


def test_the_drawing_is_ground_and_sprites_over_it_by_hand() -> None:
    scene = Scene("mint", (CACTUS, BALL), "below")
    want = torch.tensor(BACKGROUNDS["mint"]).float()[:, None, None].repeat(1, 32, 32)
    for one in scene.things:
        drawn = sprites(one.size)[[*THINGS].index(one.name)]
        window = want[:, one.y : one.y + one.size, one.x : one.x + one.size]
        window.copy_(window * (1 - drawn[3]) + drawn[:3])
    torch.testing.assert_close(scene.render(), want / 127.5 - 1)
    assert to_display(scene.render())[:, 0, 0].tolist() == [*BACKGROUNDS["mint"]]


def test_each_picture_of_a_batch_is_the_one_it_is_alone() -> None:
    several = [Scene("mint", (CACTUS, BALL), "below"), Scene("navy", HEARTS), Scene("grey", (BALL, BALL, BALL))]
    together = render(several)
    for scene, picture in zip(several, together, strict=True):
        assert torch.equal(scene.render(), picture)
    moved = Scene("mint", (CACTUS, Placed("soccer ball", 5, 1, 15)), "below").render()
    assert torch.equal(moved[:, 1:16, 5:20], together[0][:, 1:16, 4:19]), "a pixel to the right"


def test_bad_input() -> None:
    with rejects("background"):
        Scene("mauve", (CACTUS,))
    with rejects("thing"):
        Scene("mint", (Placed("green cactus", 0, 0, 14),))
    with rejects("within"):
        Scene("mint", (Placed("cactus", 19, 0, 14),))
    with rejects("within"):
        Scene("mint", (Placed("cactus", 0, -1, 14),))
    with rejects("number of things"):
        Scene("mint", ())
    with rejects("number of things"):
        Scene("mint", (CACTUS,) * 4)
    for relation, things in ((None, (CACTUS, BALL)), ("above", (CACTUS, CACTUS)), ("above", (CACTUS,)),
                             ("above", (CACTUS, BALL, BALL))):  # fmt: skip
        with rejects("relation"):
            Scene("mint", things, relation)
    with rejects("relation"):
        Scene("mint", (CACTUS, BALL), "beside")
    assert len(RELATIONS) == 4
