"""Tasks for editing: scenes in which one thing is to become another, the holes where it stands, and how far it moved.

What an edit should keep is then known to the pixel: all of the picture but the square of the thing that changes.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from companion.data.scene import SIDE, Scene
from companion.data.scenes import scenes
from companion.metrics.scene_reader import read_scenes
from companion.validate import Count, checked


@checked
def swaps(n: Count, generator: Generator) -> tuple[list[Scene], list[Scene]]:
    """Scenes of one thing, and the same with another thing in its place; captions have equally many words.

    Both are of the training split.
    """
    before: list[Scene] = []
    after: list[Scene] = []
    while len(before) < n:
        some = [scene for scene in scenes(200, generator).scenes if len(scene.things) == 1]
        for scene, other in zip(some[::2], some[1::2], strict=False):
            (old,), (new,) = scene.names, other.names
            if old != new and len(old.split()) == len(new.split()):
                before.append(scene)
                after.append(replace(scene, things=(replace(scene.things[0], name=new),)))
    return before[:n], after[:n]


@checked
def holes(some: Sequence[Scene]) -> Bool[Tensor, "n 32 32"]:
    """True in the square of the one thing of each scene.

    Raises:
        ValueError: a scene of several things.
    """
    if several := [scene.names for scene in some if len(scene.things) != 1]:
        raise ValueError(f"some: got a scene of {several[0]}, wanted one thing in each")
    mask = torch.zeros(len(some), SIDE, SIDE, dtype=torch.bool)
    for one, scene in zip(mask, some, strict=True):
        (thing,) = scene.things
        one[thing.y : thing.y + thing.size, thing.x : thing.x + thing.size] = True
    return mask


@checked
def shifts(before: Float[Tensor, "n 3 32 32"], after: Float[Tensor, "n 3 32 32"]) -> Float[Tensor, "m"]:
    """By how many pixels the middle of the thing moved, of the pairs of pictures in each of which one thing is read."""
    middles = []
    for pair in zip(read_scenes(before), read_scenes(after), strict=True):
        if all(len(reading.things) == 1 for reading in pair):
            middles.append([(one.x + one.size / 2, one.y + one.size / 2) for (one,) in (r.things for r in pair)])
    places = torch.tensor(middles).reshape(-1, 2, 2)
    return (places[:, 0] - places[:, 1]).norm(dim=1)
