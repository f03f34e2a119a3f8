r"""Reading scenes by rule: what stands where in a picture, also in one that a model has drawn, blurred or noisy.

Nothing here is learned. The ground is the one of the course's whose colour b most pixels are near. Then every thing t of every
size is tried at every place w. With R the picture minus the ground, and D the thing drawn on that ground minus the ground,

    gain(t, w) = ‖R_w‖² - ‖R_w - D_t‖² = 2 ⟨R_w, D_t⟩ - ‖D_t‖²                                 (eq-scenes-gain)

is how much squared error the thing explains there: up to a constant, the log-likelihood of "t stands at w" against "nothing
does" under Gaussian noise. The thing of most gain is taken, then the next one that does not overlap it, as long as the
picture is like the thing there: gain ≥ 0.2 ‖D_t‖² and ⟨R_w, D_t⟩ ≥ 0.6 ‖R_w‖ ‖D_t‖. A large single thing is read if it
explains more than small ones do together. This is matching by templates, which is as old as machine vision.

`score` compares what is read with what was asked for, in five respects.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from companion.data.scene import BACKGROUNDS, SIDE, Placed, Scene
from companion.data.scene_layout import SIZES
from companion.data.sprites import THINGS, sprites
from companion.validate import Finite, checked

ALIKE = 0.6
"""The least cosine between a picture and a thing that is read in it."""
LEAST = 0.2
"""The least gain of a thing that is read, as a share of ‖D‖², its gain in a true drawing: what lies across others has less."""
_NEAR = 0.4  # a pixel that is further from a ground's colour (white is √12 from black) is no more than this
_OVERLAP = 3  # pixels by which two things' squares may overlap in both directions
_MOST = 4  # things that are looked for: one more than any scene has


@dataclass(frozen=True)
class Reading:
    """What is read in a picture.

    Attributes:
        background: one of `companion.data.scene.BACKGROUNDS`.
        things: in the order of their gain; none if nothing is like any known thing.
        explained: the share of all squared differences from the ground that the things explain; 1 for a true drawing.
    """

    background: str
    things: tuple[Placed, ...]
    explained: float


@dataclass(frozen=True)
class SceneScore:
    """For each picture whether it is as asked for; ``score.shares()`` has the means.

    Attributes:
        background: the ground is right.
        count: so many things are there.
        things: they are of the right kinds, whatever their colours.
        colours: shapes have the right colours: each its own where the kinds are right; True if no shape was asked for.
        relation: the two things stand to each other as asked; True if no relation was asked for.
        has_colours: whether a shape was asked for.
        has_relation: whether a relation was asked for.
    """

    background: Bool[Tensor, "n"]
    count: Bool[Tensor, "n"]
    things: Bool[Tensor, "n"]
    colours: Bool[Tensor, "n"]
    relation: Bool[Tensor, "n"]
    has_colours: Bool[Tensor, "n"]
    has_relation: Bool[Tensor, "n"]

    @property
    def all(self) -> Bool[Tensor, "n"]:
        """Everything is right."""
        return self.background & self.count & self.things & self.colours & self.relation

    def shares(self) -> dict[str, float]:
        """The share that is right in each respect, of the pictures of which it was asked; NaN if of none."""
        asked = {"colours": self.has_colours, "relation": self.has_relation}
        names = ("background", "count", "things", "colours", "relation", "all")
        return {name: float(getattr(self, name)[asked.get(name, ...)].float().mean()) for name in names}


@checked
def read_scenes(pictures: Finite[Tensor, "n 3 32 32"]) -> tuple[Reading, ...]:
    """Ground and things of each picture, in [-1, 1]; values outside are clipped, as a screen does."""
    pictures = pictures.detach().float().cpu().clamp(-1, 1)
    grounds = torch.tensor([*BACKGROUNDS.values()]) / 127.5 - 1
    smooth = F.avg_pool2d(pictures, 3, stride=1)  # against noise
    apart = (smooth[:, None] - grounds[:, :, None, None]).pow(2).sum(2)  # (n, grounds, height, width)
    nearest = apart.clamp(max=_NEAR**2).sum((2, 3)).argmin(1)
    readings: dict[int, Reading] = {}
    for ground in nearest.unique().tolist():
        for rows in (nearest == ground).nonzero().flatten().split(50):
            rest = pictures[rows] - grounds[ground][:, None, None]
            few, many = (_find(rest, ground, sizes) for sizes in (SIZES[1], sorted({*SIZES[2], *SIZES[3]})))
            total = rest.pow(2).sum((1, 2, 3)).tolist()
            for row, large, small, whole in zip(rows.tolist(), few, many, total, strict=True):
                best = max(large[:1], small, key=lambda found: sum(gain for gain, _ in found))
                explained = sum(gain for gain, _ in best) / max(whole, 1e-12)
                things = tuple(thing for _, thing in best)
                readings[row] = Reading([*BACKGROUNDS][ground], things, explained)
    return tuple(readings[i] for i in range(len(pictures)))


def score(pictures: Float[Tensor, "n 3 32 32"], asked: Sequence[Scene]) -> SceneScore:
    """Which pictures show the scenes that were asked for, respect by respect.

    Args:
        pictures: in [-1, 1].
        asked: a scene for each. Only contents count, not the places within the picture.

    Raises:
        ValueError: another number of scenes than of pictures.
    """
    if len(asked) != len(pictures):
        raise ValueError(f"asked: got {len(asked)} scenes, wanted one for each of {len(pictures)} pictures")
    rows = [_compare(reading, scene) for reading, scene in zip(read_scenes(pictures), asked, strict=True)]
    return SceneScore(*torch.tensor(rows).T)


def relation_of(first: Placed, second: Placed) -> str:
    """How the first thing stands to the second, along the axis on which their middles are further apart."""
    dx, dy = (2 * (b - a) + second.size - first.size for a, b in ((first.x, second.x), (first.y, second.y)))
    if abs(dx) >= abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


def _compare(reading: Reading, scene: Scene) -> list[bool]:
    found, wanted = ([THINGS[one.name] for one in things] for things in (reading.things, scene.things))
    same_kinds = Counter(t.noun for t in found) == Counter(t.noun for t in wanted)
    by = (lambda t: t.name) if same_kinds else (lambda t: t.colour)
    colours = [Counter(by(t) for t in things if t.colour is not None) for things in (found, wanted)]
    return [
        reading.background == scene.background,
        len(found) == len(wanted),
        same_kinds,
        colours[0] == colours[1] or not colours[1],
        scene.relation is None or _as_asked(reading.things, scene),
        bool(colours[1]),
        scene.relation is not None,
    ]


def _as_asked(found: Sequence[Placed], scene: Scene) -> bool:
    """Whether two things stand as asked: in the order that has more in common with the scene than the other order has."""
    if len(found) != 2:
        return False
    first, second = found if relation_of(*found) == scene.relation else found[::-1]
    in_common = [
        sum(_common(one.name, name) for one, name in zip((first, second), names, strict=True))
        for names in (scene.names, scene.names[::-1])
    ]
    return relation_of(first, second) == scene.relation and in_common[0] > in_common[1]


def _common(one: str, other: str) -> int:
    a, b = THINGS[one], THINGS[other]
    return 2 * (a.noun == b.noun) + (a.colour is not None and a.colour == b.colour)


def _find(rest: Float[Tensor, "n 3 32 32"], ground: int, sizes: Sequence[int]) -> list[list[tuple[float, Placed]]]:
    """The things of some sizes with their gains (eq-scenes-gain), the greatest first, none over another."""
    gains, spots = [], []
    for size in sizes:
        drawn = _templates(ground, size)
        windows = F.unfold(rest, size)  # (n, 3 size², places)
        common = drawn @ windows
        length = drawn.pow(2).sum(1)[:, None]
        alike = common > ALIKE * (windows.pow(2).sum(1, keepdim=True) * length).sqrt()
        gain = 2 * common - length
        gain, thing = gain.masked_fill(~alike | (gain < LEAST * length), -1.0).max(1)  # at each place the best thing
        corners = torch.arange(SIDE - size + 1)
        y, x = torch.meshgrid(corners, corners, indexing="ij")
        place = torch.stack([x.flatten(), y.flatten(), torch.full_like(x.flatten(), size)], -1)
        gains.append(gain)
        spots.append(torch.cat([thing[..., None], place.expand(len(rest), -1, -1)], -1))
    gain, spot = torch.cat(gains, 1), torch.cat(spots, 1)
    found: list[list[tuple[float, Placed]]] = [[] for _ in rest]
    names, rows = [*THINGS], torch.arange(len(rest))
    for _ in range(_MOST):
        best, place = gain.max(1)
        taken = spot[rows, place]
        for row, value, (thing, x, y, size) in zip(found, best.tolist(), taken.tolist(), strict=True):
            if value > 0:
                row.append((value, Placed(names[thing], x, y, size)))
        starts, ends = spot[..., 1:3], spot[..., 1:3] + spot[..., 3:]
        shared = torch.minimum(ends, taken[:, None, 1:3] + taken[:, None, 3:]) - torch.maximum(
            starts, taken[:, None, 1:3]
        )
        gain = gain.masked_fill((shared > _OVERLAP).all(-1), -1.0)
    return found


@lru_cache(maxsize=64)
def _templates(ground: int, size: int) -> Float[Tensor, "things features"]:
    """What each thing, drawn on a ground, adds to it, in the units of pictures."""
    colour = torch.tensor([*BACKGROUNDS.values()][ground])[:, None, None]
    drawn = sprites(size)
    return ((drawn[:, :3] - drawn[:, 3:] * colour) / 127.5).flatten(1)
