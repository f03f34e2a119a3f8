"""The checks of exercise 3.7.5: a forecast that knows walls, judged by the law by which the films are made.

The true paths come from `companion.data.moving_digits.bounce`, which simulates nothing: it folds a straight line.
"""

import torch
from torch import Generator, Tensor

from companion.data.moving_digits import bounce
from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare

GIVEN = 3


def _paths(g: Generator, new: int, *, walls: str) -> tuple[Tensor, Tensor, Tensor]:
    """Given positions, room and what follows, of digits that move along one axis; ``walls``: none, one or many."""
    n = 40
    axis = torch.randint(2, (n,), generator=g)
    way = torch.randint(2, (n,), generator=g) * 2.0 - 1
    room = (
        torch.randint(3, 5, (n, 2), generator=g) if walls == "many" else torch.randint(9, 13, (n, 2), generator=g)
    ).float()
    velocity = torch.nn.functional.one_hot(axis, 2) * way[:, None]
    if walls == "none":
        ahead = GIVEN + new
    elif walls == "one":
        ahead = GIVEN + new // 2
    else:
        ahead = GIVEN - 1
    offset = (torch.rand(n, 2, generator=g) * (room - ahead + 1).clamp(min=1)).floor().clamp(max=3)
    start = torch.where(velocity > 0, room - ahead - offset * (walls == "none"), ahead + offset * (walls == "none"))
    start = torch.where(velocity == 0, offset.minimum(room), start).clamp(min=0).minimum(room)
    path, _, _ = bounce(start, velocity, room, GIVEN + new)
    return path[:, :GIVEN], room, path[:, GIVEN:]


def _straight(given: Tensor, new: int) -> Tensor:
    step = given[:, -1] - given[:, -2]
    return given[:, -1:] + step[:, None] * torch.arange(1, new + 1)[:, None]


def _one_turn(given: Tensor, room: Tensor, new: int) -> Tensor:
    line, top = _straight(given, new), room[:, None]
    line = torch.where(line < 0, -line, line)
    return torch.where(line > top, 2 * top - line, line)


def _modulo(given: Tensor, room: Tensor, new: int) -> Tensor:
    return _straight(given, new).remainder(room[:, None])


def _forecast(walls: str):
    def test(answer: Answer, g: Generator) -> str:
        new = 12 if walls == "many" else 6
        given, room, wanted = _paths(g, new, walls=walls)
        mistakes = {
            "the digit goes through the wall": _straight(given, new),
            "the digit stops at the wall": _straight(given, new).clamp(min=0).minimum(room[:, None]),
            "the digit comes in again on the other side": _modulo(given, room, new),
            "nothing moves": given[:, -1:].expand(-1, new, -1),
            "the last given position is repeated as the first forecast": torch.cat(
                [given[:, -1:], wanted[:, :-1]], dim=1
            ),
            "the digit turns round once only": _one_turn(given, room, new),
        }
        mistakes = {name: value for name, value in mistakes.items() if not torch.allclose(value, wanted)}
        return compare(answer.tensor(given, room, new, shape=tuple(wanted.shape)), wanted, mistakes)

    return test


def _better(answer: Answer, g: Generator) -> str:
    given, room, wanted = _paths(g, 6, walls="one")
    got = answer.tensor(given, room, 6, shape=tuple(wanted.shape))
    ours, base = ((guess - wanted).norm(dim=-1).mean() for guess in (got, _straight(given, 6)))
    if not ours < 0.5 * base:
        raise Wrong(
            f"off by {float(ours):.2f} pixels, constant velocity by {float(base):.2f}; wanted less than half of that",
            "no better than the baseline",
        )
    return f"off by {float(ours):.2f} pixels, constant velocity by {float(base):.2f}"


EXERCISES = (
    Exercise(
        "3.7.5",
        "forecast(path, room, new)",
        (
            Property("no wall on the way", 5, _forecast("none")),
            Property("better than constant velocity at a wall", 5, _better),
            Property("one wall on the way", 6, _forecast("one")),
            Property("walls again and again", 6, _forecast("many")),
        ),
    ),
)
