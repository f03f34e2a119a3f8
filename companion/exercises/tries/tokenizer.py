"""The tries of the lesson on tokens: bytes, a merge, which merge comes next, bits for each character."""

import math
from collections.abc import Mapping

import torch
from torch import Generator

from companion.exercises.tries import Try

Pair = tuple[int, int]


def to_bytes(text: str) -> list[int]:
    """The numbers that a text is stored as, each from 0 to 255."""
    return list(text.encode("utf-8"))


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """The tokens after a merge: wherever the pair stands, read from the left, one new token."""
    out: list[int] = []
    for i in ids:
        if out and (out[-1], i) == pair:
            out[-1] = new
        else:
            out.append(i)
    return out


def next_place(ids: list[int], rank: Mapping[Pair, int]) -> int:
    """Where the next merge happens: at the pair that was learned first."""
    return min((rank[pair], place) for place, pair in enumerate(zip(ids, ids[1:], strict=False)) if pair in rank)[1]


def bits(nats: float, characters: float) -> float:
    """Bits for each character, from nats for each token and characters for each token."""
    return nats / math.log(2) / characters


def _only_once(ids: list[int], pair: Pair, new: int) -> list[int]:
    place = next(i for i in range(len(ids)) if (ids[i], ids[i + 1]) == pair)
    return [*ids[:place], new, *ids[place + 2 :]]


def _either_order(ids: list[int], pair: Pair, new: int) -> list[int]:
    out: list[int] = []
    for i in ids:
        if out and (out[-1], i) in (pair, pair[::-1]):
            out[-1] = new
        else:
            out.append(i)
    return out


def _second_stays(ids: list[int], pair: Pair, new: int) -> list[int]:
    return [new if (ids[i], *ids[i + 1 : i + 2]) == pair else ids[i] for i in range(len(ids))]


def _overlapping(ids: list[int], pair: Pair, new: int) -> list[int]:
    starts = [(ids[i], *ids[i + 1 : i + 2]) == pair for i in range(len(ids))]
    return [
        new if here else i for here, before, i in zip(starts, [False, *starts], ids, strict=False) if here or not before
    ]


def _mergeable(ids: list[int], rank: Mapping[Pair, int]) -> list[int]:
    return [place for place in range(len(ids) - 1) if (ids[place], ids[place + 1]) in rank]


def _different(g: Generator, count: int) -> list[int]:
    return (10 + torch.randperm(200, generator=g)[:count]).tolist()


def _texts(g: Generator) -> list[tuple[str]]:
    letters = [[chr(start + i) for i in torch.randint(20, (3,), generator=g).tolist()] for start in (97, 0x3B1, 0x4E00)]
    return [("".join(a + b + c for a, b, c in zip(*letters, strict=True)),), ("".join(letters[0] + letters[1]),)]


def _merges(g: Generator) -> list[tuple[list[int], Pair, int]]:
    a, b, x, y, new = _different(g, 5)
    return [([x, a, b, y, b, a, y, a, b], (a, b), new), ([a, a, a, x, a, a], (a, a), new)]


def _ranked(g: Generator) -> list[tuple[list[int], dict[Pair, int]]]:
    found = []
    for places in ((1, 3, 4), (0, 2, 5)):  # the one in the middle was learned first, the last one last
        ids, (start,) = _different(g, 7), torch.randint(20, 90, (1,), generator=g).tolist()
        ranks = (start + 5, start, start + 9)
        found.append((ids, {(ids[i], ids[i + 1]): rank for i, rank in zip(places, ranks, strict=True)}))
    return found


def _measured(g: Generator) -> list[tuple[float, float]]:
    return [tuple((1.5 + torch.rand(2, generator=g, dtype=torch.float64)).tolist()) for _ in range(3)]


TRIES = (
    Try(
        "3.4-tokenizer-1", "to_bytes(text)", to_bytes, _texts,
        {
            "the characters' numbers in Unicode, not bytes": lambda text: [ord(c) for c in text],
            "what is no plain letter is dropped": lambda text: list(text.encode("ascii", "ignore")),
            "another encoding, UTF-16": lambda text: list(text.encode("utf-16-le")),
        },
    ),
    Try(
        "3.4-tokenizer-2", "merge(ids, pair, new)", merge, _merges,
        {
            "only the first place is merged": _only_once,
            "the pair is merged in either order": _either_order,
            "the second token of the pair stays": _second_stays,
            "in a, a, a the middle one is used twice": _overlapping,
        },
    ),
    Try(
        "3.4-tokenizer-3", "next_place(ids, rank)", next_place, _ranked,
        {
            "the first place that can be merged": lambda ids, rank: _mergeable(ids, rank)[0],
            "the merge that was learned last": lambda ids, rank: max(
                _mergeable(ids, rank), key=lambda i: rank[ids[i], ids[i + 1]]
            ),
            "the merge's number, not its place": lambda ids, rank: min(rank.values()),
        },
    ),
    Try(
        "3.4-tokenizer-4", "bits(nats, characters)", bits, _measured,
        {
            "nats for each character: ln 2 is missing": lambda nats, characters: nats / characters,
            "bits for each token: the characters are missing": lambda nats, characters: nats / math.log(2),
            "times ln 2, not divided by it": lambda nats, characters: nats * math.log(2) / characters,
            "times the characters of a token, not divided by them": lambda nats, characters: bits(nats, 1 / characters),
        },
    ),
)  # fmt: skip
