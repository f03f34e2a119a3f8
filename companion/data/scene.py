"""A scene: what is in a 32×32 picture, the caption that says so, and the drawing.

A scene is a single thing ("a cactus on mint"), one thing two or three times ("two red hearts on sky"), or two different things,
one beside or above the other ("a cactus below a soccer ball on mint"). `Scene` knows names and places, writes the caption and
draws the picture, so nothing about a picture has to be guessed; `companion.data.scenes` draws scenes without end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from companion.data.sets import to_model
from companion.data.sprites import THINGS, sprites
from companion.validate import check_choice, check_count, checked

SIDE = 32
BACKGROUNDS = {
    "white": (255, 255, 255),
    "grey": (200, 203, 208),
    "pink": (255, 200, 214),
    "mint": (184, 240, 208),
    "sky": (170, 220, 255),
    "sand": (240, 222, 170),
    "lavender": (216, 198, 246),
    "navy": (34, 45, 92),
}
RELATIONS = ("left of", "right of", "above", "below")
NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True)
class Placed:
    """One thing in a scene.

    Attributes:
        name: of one of `companion.data.sprites.THINGS`.
        x: pixels from the left edge to it.
        y: pixels from the upper edge.
        size: its height and width in pixels.
    """

    name: str
    x: int
    y: int
    size: int


@dataclass(frozen=True)
class Scene:
    """What is in a picture.

    Attributes:
        background: one of `BACKGROUNDS`.
        things: as the caption names them; without a relation all of one name.
        relation: how the first of two things stands to the second, one of `RELATIONS`; None for a single thing or a count.

    Raises:
        ValueError: an unknown background, thing or relation, a thing that is not within the picture, more than three, a
            relation of other than two different things, or none of different ones.
    """

    background: str
    things: tuple[Placed, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        check_choice("background", self.background, BACKGROUNDS)
        check_count("number of things", len(self.things), high=3)
        for one in self.things:
            check_choice("thing", one.name, THINGS)
            if min(one.x, one.y) < 0 or max(one.x, one.y) + one.size > SIDE or one.size < 1:
                raise ValueError(f"things: got {one}, wanted it within {SIDE}×{SIDE} pixels")
        if self.relation is not None:
            check_choice("relation", self.relation, RELATIONS)
        different = len(set(self.names)) > 1
        if different != (self.relation is not None) or (different and len(self.things) != 2):
            raise ValueError(
                f"relation: got {self.relation!r} of {self.names}, wanted one of two different things, or none of equal ones"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The things' names, as often as they are there."""
        return tuple(one.name for one in self.things)

    def caption(self, *, terse: bool = False) -> str:
        """All that is to be seen: "a cactus below a red heart on mint"; ``terse``, only what kinds of things: "a cactus and a
        heart". Pictures on the web come with the second kind; see Betker et al., "Improving Image Generation with Better
        Captions", 2023.
        """
        first = THINGS[self.names[0]]
        if terse:
            seen = [first] if self.relation is None else [THINGS[name] for name in self.names]
            return " and ".join(_one(thing.noun) for thing in seen) if len(self.things) == len(seen) else first.plural
        if self.relation is not None:
            said = f"{_one(first.name)} {self.relation} {_one(self.names[1])}"
        elif len(self.things) > 1:
            colour = "" if first.colour is None else f"{first.colour} "
            said = f"{NUMBERS[len(self.things)]} {colour}{first.plural}"
        else:
            said = _one(first.name)
        return f"{said} on {self.background}"

    def render(self) -> Float[Tensor, "3 32 32"]:
        """The picture, in [-1, 1]."""
        return render([self])[0]


@checked
def render(what: Sequence[Scene]) -> Float[Tensor, "n 3 32 32"]:
    """The pictures of scenes, in [-1, 1]: each thing laid over its ground by its opacity."""
    ground = torch.tensor([BACKGROUNDS[scene.background] for scene in what], dtype=torch.float32)
    canvas = ground.repeat_interleave(SIDE * SIDE, dim=0)
    number = _numbers()
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}  # by place in the scene and size
    for i, scene in enumerate(what):
        for slot, one in enumerate(scene.things):
            corner = (i * SIDE + one.y) * SIDE + one.x
            groups.setdefault((slot, one.size), []).append((number[one.name], corner))
    for (_, size), members in sorted(groups.items()):
        thing, corner = torch.tensor(members).T
        within = (torch.arange(size)[:, None] * SIDE + torch.arange(size)).flatten()
        drawn = sprites(size).flatten(2).transpose(1, 2)[thing]  # (members, pixels, 4)
        where = (corner[:, None] + within).flatten()
        ink, opacity = drawn.flatten(0, 1).split((3, 1), dim=1)
        canvas.index_copy_(0, where, torch.addcmul(ink, canvas[where], 1 - opacity))
    return to_model(canvas.reshape(-1, SIDE, SIDE, 3).permute(0, 3, 1, 2).clamp(0, 255).contiguous())


def words() -> tuple[str, ...]:
    """Every word of the captions, full and terse, in alphabetical order."""
    said = [word for thing in THINGS.values() for word in (*thing.name.split(), *thing.plural.split())]
    said += [word for relation in RELATIONS for word in relation.split()]
    return tuple(sorted({*said, *BACKGROUNDS, *NUMBERS.values(), "a", "an", "and", "on"}))


def _one(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@cache
def _numbers() -> dict[str, int]:
    return {name: i for i, name in enumerate(THINGS)}
