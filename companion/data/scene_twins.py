"""Twins of a scene: the same but for one thing that a careless reader would miss. They are hard wrong answers.

To tell "a cactus left of an owl on mint" from "a cactus left of an owl on sand" one need only see the ground; in "an owl left
of a cactus on mint" all the words are the same, and only their order tells. Models trained on pictures and their captions often
fail at the second, and learn it when twins stand in their batches: Yuksekgonul et al., "When and Why Vision-Language Models
Behave like Bags-of-Words", 2022, arXiv:2210.01936; Thrush et al., "Winoground", 2022, arXiv:2204.03162.
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from torch import Generator

from companion.data.scene import BACKGROUNDS, RELATIONS, Scene
from companion.data.scene_layout import Contents, arrange
from companion.data.scenes import split_of
from companion.data.sprites import COLOURS, THINGS
from companion.training.random import rand
from companion.validate import Range, check_choice, checked

Choice = TypeVar("Choice")
CHANGES = ("background", "count", "thing", "colour", "relation", "order")
"""The ground; how many (of a single thing or a count); one thing; a shape's colour; the relation; which thing is which."""


def possible_changes(scene: Scene) -> tuple[str, ...]:
    """Which of `CHANGES` a scene allows."""
    shaped = any(THINGS[name].colour is not None for name in scene.names)
    of_kind = ("relation", "order") if scene.relation is not None else ("count",)
    return ("background", "thing", *(("colour",) if shaped else ()), *of_kind)


@checked
def twin(scene: Scene, change: str, generator: Generator) -> Scene:
    """Another scene that differs by one change from a scene, and in the places.

    A new ground, thing, colour or relation is drawn among all others; a changed order has the two things' names swapped.

    Raises:
        ValueError: a change that the scene does not allow.
    """
    check_choice("change", change, possible_changes(scene))
    return arrange([_changed(scene, change, generator)], generator)[0]


@checked
def twins(scenes: Sequence[Scene], generator: Generator, *, changes: Sequence[str] = CHANGES) -> list[Scene]:
    """A twin of each scene by a change that is drawn, of the same split as the scene.

    A scene of which ten tries give no such twin gets one with another ground, which is always of its split.

    Args:
        scenes: of any kinds.
        generator: what draws.
        changes: to draw from; a scene that allows none of them gets any.

    Raises:
        ValueError: an unknown change, or none.
    """
    if not changes or not set(changes) <= set(CHANGES):
        raise ValueError(f"changes: got {list(changes)}, wanted some of {', '.join(CHANGES)}")
    changed = []
    for scene in scenes:
        allowed = possible_changes(scene)
        allowed = [change for change in allowed if change in changes] or allowed
        split = split_of(scene.names, scene.relation)
        for _ in range(10):
            contents = _changed(scene, _pick(allowed, generator), generator)
            if split_of(*contents[1:]) == split:
                break
        else:
            contents = _changed(scene, "background", generator)
        changed.append(contents)
    return arrange(changed, generator)


@checked
def wrong_captions(scene: Scene, n: Annotated[int, Range(1, 12)], generator: Generator) -> list[str]:
    """``n`` different captions that are not true of a scene, of as many different changes as it allows.

    Raises:
        ValueError: a number below 1 or above 12: a single shape has hardly more.
    """
    found: list[str] = []
    changes: list[str] = []
    while len(found) < n:
        changes = changes or [*possible_changes(scene)]
        change = changes.pop(int(rand((), generator) * len(changes)))
        caption = _anywhere(_changed(scene, change, generator)).caption()
        if caption not in found:
            found.append(caption)
    return found


def _changed(scene: Scene, change: str, generator: Generator) -> Contents:
    ground, names, relation = scene.background, scene.names, scene.relation
    if change == "background":
        return _pick([g for g in BACKGROUNDS if g != ground], generator), names, relation
    if change == "relation":
        return ground, names, _pick([r for r in RELATIONS if r != relation], generator)
    if change == "order":
        return ground, names[::-1], relation
    if change == "count":
        return ground, (names[0],) * _pick([n for n in (1, 2, 3) if n != len(names)], generator), relation
    old = _pick([n for n in dict.fromkeys(names) if change == "thing" or THINGS[n].colour is not None], generator)
    if change == "thing":  # of the same colour, if it has one
        others = [n for n, t in THINGS.items() if t.colour == THINGS[old].colour and n not in names]
    else:
        others = [n for c in COLOURS if (n := f"{c} {THINGS[old].noun}") not in names]
    new = _pick(others, generator)
    return ground, tuple(new if name == old else name for name in names), relation


def _anywhere(contents: Contents) -> Scene:
    """A scene of these contents, in whatever places: for its caption and its split."""
    return arrange([contents], Generator().manual_seed(0))[0]


def _pick(choices: Sequence[Choice], generator: Generator) -> Choice:
    return choices[int(rand((), generator) * len(choices))]
