"""The tries of the lesson on attention: the soft look-up, many at once, the mask, the heads, a turn by the position."""

import math

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def look_up(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The average of the values, weighted by how well each key fits the query."""
    return (keys @ query).softmax(0) @ values


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of all queries at once."""
    return (q @ k.T / math.sqrt(q.shape[-1])).softmax(-1) @ v


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """The weights of the keys that may be looked at."""
    return scores.masked_fill(~mask, -math.inf).softmax(-1)


def split(x: Tensor, heads: int) -> Tensor:
    """From (batch, n, width) to (batch, heads, n, width / heads): a slice of the channels for each head."""
    batch, n, width = x.shape
    return x.reshape(batch, n, heads, width // heads).transpose(1, 2)


def turn(x: float, y: float, angle: float) -> tuple[float, float]:
    """The point (x, y), turned about the origin."""
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def _look_ups(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (torch.randn(d, generator=g), torch.randn(m, d, generator=g), torch.randn(m, e, generator=g))
        for m, d, e in ((3, 2, 4), (6, 5, 3))
    ]


def _queries(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (torch.randn(n, d, generator=g), torch.randn(m, d, generator=g), torch.randn(m, e, generator=g))
        for n, m, d, e in ((2, 3, 5, 4), (4, 6, 3, 2))
    ]


def _masks(g: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for n in (3, 5):  # in each row and column at least one True and one False
        mask = torch.rand(n, n, generator=g) < 0.5
        mask[range(n), range(n)] = True
        mask[range(n), [*range(1, n), 0]] = False
        found.append((torch.randn(n, n, generator=g), mask))
    return found


def _streams(g: Generator) -> list[tuple[Tensor, int]]:
    return [(torch.randn(2, n, width, generator=g), heads) for n, width, heads in ((5, 6, 2), (4, 15, 3))]


def _points(g: Generator) -> list[tuple[float, float, float]]:
    return [tuple((0.5 + torch.rand(3, generator=g)).tolist()) for _ in range(3)]


TRIES = (
    Try(
        "3.3-attention-1", "look_up(query, keys, values)", look_up, _look_ups,
        {
            "the fits themselves are the weights: the softmax is missing": lambda q, k, v: (k @ q) @ v,
            "only the best key answers: nothing is averaged": lambda q, k, v: v[(k @ q).argmax()],
            "the exponentials are not divided by their sum": lambda q, k, v: (k @ q).exp() @ v,
            "the keys are averaged, not the values": lambda q, k, v: (k @ q).softmax(0) @ k,
        },
    ),
    Try(
        "3.3-attention-2", "attend(q, k, v)", attend, _queries,
        {
            "the scale is missing": lambda q, k, v: (q @ k.T).softmax(-1) @ v,
            "divided by the width, not by its root": lambda q, k, v: (q @ k.T / q.shape[-1]).softmax(-1) @ v,
            "divided by the root of the number of keys": lambda q, k, v: (q @ k.T / len(k) ** 0.5).softmax(-1) @ v,
            "the softmax goes over the queries": lambda q, k, v: (q @ k.T / q.shape[-1] ** 0.5).softmax(0) @ v,
        },
    ),
    Try(
        "3.3-attention-3", "masked_softmax(scores, mask)", masked_softmax, _masks,
        {
            "the mask comes after the softmax": lambda s, m: s.softmax(-1) * m,
            "forbidden scores become 0, which is a score like any other": lambda s, m: (s * m).softmax(-1),
            "True and False exchanged": lambda s, m: masked_softmax(s, ~m),
            "the softmax goes over the queries": lambda s, m: s.masked_fill(~m, -math.inf).softmax(0),
        },
    ),
    Try(
        "3.3-attention-4", "split(x, heads)", split, _streams,
        {
            "cut straight to the shape: each head gets some of the places": lambda x, h: x.reshape(
                len(x), h, x.shape[1], -1
            ),
            "the heads stand behind the places: nothing is transposed": lambda x, h: x.unflatten(-1, (h, -1)),
            "the channels are dealt out one by one": lambda x, h: x.unflatten(-1, (-1, h)).permute(0, 3, 1, 2),
        },
    ),
    Try(
        "3.3-attention-5", "turn(x, y, angle)", turn, _points,
        {
            "turned the other way": lambda x, y, angle: turn(x, y, -angle),
            "sine and cosine exchanged": lambda x, y, angle: turn(x, y, math.pi / 2 - angle),
            "the new x is used for the new y": lambda x, y, angle: (
                turn(x, y, angle)[0], turn(turn(x, y, angle)[0], y, angle)[1],
            ),
        },
    ),
)  # fmt: skip
