"""Where the things of a scene stand: sizes and places are drawn so that nothing overlaps and captions are true at a glance."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Generator

from companion.data.scene import SIDE, Placed, Scene
from companion.training.random import rand
from companion.validate import checked

Contents = tuple[str, tuple[str, ...], str | None]
"""Of a scene: background, the things' names as the caption has them, relation."""

SIZES = {1: (18, 20, 22), 2: (14, 15), 3: (13, 14)}
"""How many pixels high and wide a thing may be, by how many there are."""

Upto = Callable[[int], int]  # a whole number from 0 to the given one
_DRAWS = 11  # random numbers for one scene


@checked
def arrange(contents: Sequence[Contents], generator: Generator) -> list[Scene]:
    """Scenes of given contents, each in a new place.

    Two things stand apart along one axis and differ by at most four pixels along the other. Of three, two are in one row or
    column, and the third is in the other, near the middle.

    Raises:
        ValueError: contents that are no scene's.
    """
    chances = rand((len(contents), _DRAWS), generator).tolist()
    made = []
    for (background, names, relation), numbers in zip(contents, chances, strict=True):
        upto = partial(_upto, iter(numbers))
        if not 0 < len(names) <= 3:
            raise ValueError(f"contents: got {len(names)} names, wanted one to three")
        sizes = [SIZES[len(names)][upto(len(SIZES[len(names)]) - 1)] for _ in names]
        places = (_one, _two, _three)[len(names) - 1](sizes, upto)
        if relation is None and upto(1) or relation in ("above", "below"):
            places = [(y, x) for x, y in places]
        if relation in ("right of", "below"):  # the first named is the second along the axis
            places, sizes = places[::-1], sizes[::-1]
        things = tuple(Placed(name, x, y, size) for name, (x, y), size in zip(names, places, sizes, strict=True))
        made.append(Scene(background, things, relation))
    return made


def _upto(numbers: Iterator[float], most: int) -> int:
    return int(next(numbers) * (most + 1))


def _one(sizes: list[int], upto: Upto) -> list[tuple[int, int]]:
    return [(upto(SIDE - sizes[0]), upto(SIDE - sizes[0]))]


def _two(sizes: list[int], upto: Upto) -> list[tuple[int, int]]:
    """The first on the left, the second on the right."""
    x, second = _apart(*sizes, upto)
    row = upto(SIDE - max(SIZES[2]) - 4)
    return [(x, row + upto(4)), (second, row + upto(4))]


def _three(sizes: list[int], upto: Upto) -> list[tuple[int, int]]:
    """Two in the upper row and one in the lower, or upside down."""
    x, second = _apart(sizes[0], sizes[1], upto)
    high = max(sizes[:2])
    low = SIDE - sizes[2] - upto(SIDE - high - sizes[2])
    places = [(x, upto(low - high)), (second, upto(low - high)), (7 + upto(4), low)]
    return [(x, SIDE - y - size) for (x, y), size in zip(places, sizes, strict=True)] if upto(1) else places


def _apart(first: int, second: int, upto: Upto) -> tuple[int, int]:
    """Where two things of these sizes begin along an axis: the second after the end of the first."""
    room = SIDE - first - second
    start = upto(room)
    return start, start + first + upto(room - start)
