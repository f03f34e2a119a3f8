"""The tries of the lesson on T5: one span cut out, the bucket of a distance, the loss over real tokens, ROUGE-L."""

import math

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from companion.exercises.tries import Try


def cut(ids: list[int], start: int, end: int, sentinel: int) -> tuple[list[int], list[int]]:
    """A text with one gap, and what belongs into it."""
    return ids[:start] + [sentinel] + ids[end:], [sentinel] + ids[start:end] + [sentinel - 1]


def bucket_of(n: int, buckets: int, far: int) -> int:
    """The bucket of a distance into the past."""
    near = buckets // 2
    if n < near:
        return n
    return min(buckets - 1, near + math.floor((buckets - near) * (math.log(n / near) / math.log(far / near))))


def mean_nats(nats: Float[Tensor, "batch t"], target: Int[Tensor, "batch t"], pad: int) -> Tensor:
    """The mean over the tokens that are no padding."""
    return nats[target != pad].mean()


def f_measure(common: int, written: int, wanted: int) -> float:
    """ROUGE-L's value from the lengths of the common sequence and of both texts."""
    precision, recall = common / written, common / wanted
    return 2 * precision * recall / (precision + recall) if common else 0.0


def _texts(g: Generator) -> list[tuple[list[int], int, int, int]]:
    found = []
    for n, sentinel in ((6, 99), (9, 1023), (8, 31_999)):
        start = int(torch.randint(1, n - 3, (), generator=g))
        end = start + 1 + int(torch.randint(1, 3, (), generator=g))
        found.append((torch.randint(50, (n,), generator=g).tolist(), start, end, sentinel))
    return found


def _distances(g: Generator) -> list[tuple[int, int, int]]:
    some = torch.randint(20, 100, (2,), generator=g).tolist()
    near = [(0, 32, 128), (15, 32, 128), (16, 32, 128), (5, 12, 50), (6, 12, 50), (500, 12, 50), (127, 32, 128)]
    return [*near, *((n, 32, 128) for n in some)]


def _rows(g: Generator) -> list[tuple[Tensor, Tensor, int]]:
    found = []
    for pad in (0, 6):  # 6 stands between the real tokens' numbers
        target = torch.tensor([[5, 2, 7, 9, 3], [4, pad, pad, pad, pad], [8, 1, pad, pad, pad]])
        found.append((0.5 + 3 * torch.rand(3, 5, generator=g), target, pad))
    return found


def _lengths(g: Generator) -> list[tuple[int, int, int]]:
    found = [(0, 3, 5)]
    for _ in range(4):
        common = int(torch.randint(1, 5, (), generator=g))
        more = torch.randint(1, 6, (2,), generator=g).tolist()
        found.append((common, common + more[0], common + more[0] + more[1]))
    return found


def _linear(n: int, buckets: int, far: int) -> int:
    near = buckets // 2
    return n if n < near else min(buckets - 1, near + (buckets - near) * (n - near) // (far - near))


def _no_bound(n: int, buckets: int, far: int) -> int:
    near = buckets // 2
    return n if n < near else near + math.floor((buckets - near) * math.log(n / near) / math.log(far / near))


def _never_far(n: int, buckets: int, far: int) -> int:
    return min(n, buckets - 1)


TRIES = (
    Try(
        "3.4-t5-1", "cut(ids, start, end, sentinel)", cut, _texts,
        {
            "sentinels count down, not up": lambda i, s, e, n: (i[:s] + [n] + i[e:], [n] + i[s:e] + [n + 1]),
            "the target ends with one more sentinel": lambda i, s, e, n: (i[:s] + [n] + i[e:], [n] + i[s:e]),
            "no sentinel in the gap": lambda i, s, e, n: (i[:s] + i[e:], [n] + i[s:e] + [n - 1]),
            "one sentinel for each token: a span has one": lambda i, s, e, n: (
                i[:s] + [n] * (e - s) + i[e:], [n] + i[s:e] + [n - 1],
            ),
        },
    ),
    Try(
        "3.4-t5-2", "bucket_of(n, buckets, far)", bucket_of, _distances,
        {
            "steps of one length: they grow like the distance": _linear,
            "what lies farther than `far` is in the last bucket": _no_bound,
            "half of the buckets are for single distances, not all": _never_far,
        },
    ),
    Try(
        "3.4-t5-3", "mean_nats(nats, target, pad)", mean_nats, _rows,
        {
            "padding counts": lambda x, y, p: x.mean(),
            "the mean of the rows' means: a short answer's tokens count for more": lambda x, y, p: (
                ((x * (y != p)).sum(1) / (y != p).sum(1)).mean()
            ),
            "divided by the number of rows": lambda x, y, p: (x * (y != p)).sum() / len(x),
            "padding is left out of the sum, not of the number": lambda x, y, p: (x * (y != p)).mean(),
        },
    ),
    Try(
        "3.4-t5-4", "f_measure(common, written, wanted)", f_measure, _lengths,
        {
            "precision alone": lambda c, a, b: c / a,
            "recall alone": lambda c, a, b: c / b,
            "the plain mean of both": lambda c, a, b: (c / a + c / b) / 2,
            "their geometric mean": lambda c, a, b: math.sqrt(c / a * c / b),
        },
    ),
)  # fmt: skip
