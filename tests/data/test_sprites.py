"""The things: shapes cover the area that geometry says, names are unambiguous, and no two things look alike."""

import math

import pytest
import torch
from torch.nn import functional as F

from companion.data.scene import BACKGROUNDS, words
from companion.data.sprites import COLOURS, SHAPES, THINGS, shape_opacity, sprites
from tests.conftest import rejects

# The share of the square [-1, 1]² that each covers. The star: ten triangles of radii 1.05 and 0.47, 36° apart.
AREAS = {
    "circle": math.pi * 0.93**2 / 4,
    "square": 0.84**2,
    "cross": (4 * 0.3 * 0.93 * 2 - 4 * 0.3**2) / 4,
    "triangle": (0.84 + 0.92) * (0.98 * 1.0) / 4,
    "star": 5 * 1.05 * 0.47 * math.sin(math.pi / 5) / 4,
}


@pytest.mark.parametrize("noun", AREAS)
def test_areas_are_those_of_geometry(noun: str) -> None:
    assert shape_opacity(noun, 40).mean().item() == pytest.approx(AREAS[noun], rel=0.01)


@pytest.mark.parametrize("noun", SHAPES)
def test_shapes_are_symmetric_upright_and_anti_aliased(noun: str) -> None:
    shape = shape_opacity(noun, 15)
    torch.testing.assert_close(shape, shape.flip(1))
    assert shape.min() == 0 and shape.max() == 1
    assert ((shape > 0.02) & (shape < 0.98)).any(), "pixels at the edge are partly covered"
    fine, coarse = shape_opacity(noun, 30), shape
    torch.testing.assert_close(F.avg_pool2d(fine[None], 2)[0], coarse, rtol=0, atol=0.1)
    upper, lower = shape[:7].sum(), shape[8:].sum()
    assert {"heart": upper > lower, "triangle": lower > upper}.get(noun, True), "it stands on its feet"


def test_a_shape_has_its_colour_and_an_emoji_its_own() -> None:
    names, drawn = [*THINGS], sprites(15)
    for colour, rgb in COLOURS.items():
        middle = drawn[names.index(f"{colour} square"), :, 7, 7]
        assert middle.tolist() == [*map(float, rgb), 1.0]
    assert [thing.colour for thing in THINGS.values()].count(None) == 50 and len(THINGS) == 86
    assert drawn.shape == (86, 4, 15, 15)


def test_names_are_unambiguous() -> None:
    said = [word for thing in THINGS.values() for word in {thing.noun, thing.plural}]
    assert len(set(said)) == len([*dict.fromkeys(said)]) == 2 * 56 - 1  # "fish" is its own plural
    assert not set(COLOURS) & {*SHAPES, *BACKGROUNDS} and all(name == thing.name for name, thing in THINGS.items())
    assert len(words()) < 150 and {"cacti", "snowmen", "foxes", "heart", "of", "an"} <= set(words())


@pytest.mark.parametrize("size", [14, 20])
def test_no_two_things_look_alike(size: int) -> None:
    """On every ground a thing differs from each other one by at least a fifteenth of its own contrast."""
    drawn = sprites(size)
    for rgb in BACKGROUNDS.values():
        seen = (drawn[:, :3] - drawn[:, 3:] * torch.tensor(rgb)[:, None, None]).flatten(1)
        gap = torch.cdist(seen, seen) ** 2 / seen.pow(2).sum(1)
        gap.fill_diagonal_(torch.inf)
        assert gap.min() > 1 / 15, [*THINGS][int(gap.min(1).values.argmin())]
        assert (seen.abs().mean(1) > 6).all(), "it stands out from its ground"


def test_the_same_tensor_on_every_call_and_bad_input() -> None:
    assert sprites(14) is sprites(14)
    with rejects("size"):
        sprites(0)
