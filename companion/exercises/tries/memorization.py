"""The tries of the lesson on memorisation: what counts as a copy, the denoiser that copies, a null by relabelling, its p."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def is_copy(distance: Tensor, honest: Tensor) -> Tensor:
    """Which distances are at most the 1 % quantile of those of honest images."""
    return distance <= honest.quantile(0.01)


def denoise(z: Tensor, sigma: Tensor, train: Tensor) -> Tensor:
    """The mean of the training images, each weighted by how likely it became z (eq-memorization-denoiser)."""
    distance = torch.cdist(z, train)
    return (-(distance**2) / (2 * sigma[:, None] ** 2)).softmax(1) @ train


def share_if(hits: Tensor, order: Tensor) -> Tensor:
    """The share of the samples at the "training" images, if the first half of this order of the pool were those."""
    return hits[order[: len(order) // 2]].sum() / hits.sum()


def p_value(share: float, null: Tensor) -> Tensor:
    """The chance of a share at least this large, itself counted as one of the labellings."""
    return (1 + (null >= share).sum()) / (1 + len(null))


def _distances(g: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for n in (150, 400):
        honest = 1 + torch.rand(n, generator=g)
        marks = torch.stack([honest.min(), honest.quantile(0.01), honest.mean(), honest.quantile(0.99)])
        distance = torch.cat([marks[:1] - 0.1, (marks[1:] + marks[:-1]) / 2, marks[-1:] + 0.1])
        found.append((distance[torch.randperm(5, generator=g)], honest))
    return found


def _noised(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (torch.randn(n, d, generator=g), 0.8 + torch.rand(n, generator=g), torch.randn(m, d, generator=g))
        for n, m, d in ((3, 4, 2), (5, 6, 3))
    ]


def _hits(g: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for half in (3, 6):
        hits = torch.randint(5, (2 * half,), generator=g).double()
        hits[0], hits[-1] = 9.0, 2.0  # the first half of the pool never has the share of another half by chance
        order = torch.cat([torch.arange(1, half + 1), torch.tensor([0]), torch.arange(half + 1, 2 * half)])
        found.append((hits, order))
    return found


def _nulls(g: Generator) -> list[tuple[float, Tensor]]:
    found = []
    for n in (19, 99):
        null = torch.randint(30, 60, (n,), generator=g).double() / 100
        null[:5] = torch.tensor([0.62, 0.62, 0.7, 0.2, 0.25], dtype=torch.float64)
        found.append((0.62, null))
    return found


TRIES = (
    Try(
        "3.1-memorization-1", "is_copy(distance, honest)", is_copy, _distances,
        {
            "far away, not near": lambda d, h: d > h.quantile(0.01),
            "the other end: 99 in 100 honest images are nearer": lambda d, h: d <= h.quantile(0.99),
            "the nearest honest image, not one in a hundred": lambda d, h: d <= h.min(),
            "the mean: half of the honest images would be copies": lambda d, h: d <= h.mean(),
        },
    ),
    Try(
        "3.1-memorization-2", "denoise(z, sigma, train)", denoise, _noised,
        {
            "the distance is not squared":
                lambda z, s, x: (-torch.cdist(z, x) / (2 * s[:, None] ** 2)).softmax(1) @ x,
            "the sign: the farthest image weighs most":
                lambda z, s, x: (torch.cdist(z, x) ** 2 / (2 * s[:, None] ** 2)).softmax(1) @ x,
            "normalised over the noisy images, not the training images":
                lambda z, s, x: (-(torch.cdist(z, x) ** 2) / (2 * s[:, None] ** 2)).softmax(0) @ x,
            "the plain mean of the training images": lambda z, s, x: x.mean(0).expand_as(z),
        },
    ),
    Try(
        "3.1-memorization-3", "share_if(hits, order)", share_if, _hits,
        {
            "always the same half: the order is not used": lambda n, i: n[: len(n) // 2].sum() / n.sum(),
            "the other half": lambda n, i: 1 - share_if(n, i),
            "a mean, not a share": lambda n, i: n[i[: len(i) // 2]].mean(),
            "images that are hit, not samples": lambda n, i: (n[i[: len(i) // 2]] > 0).sum() / (n > 0).sum(),
        },
    ),
    Try(
        "3.1-memorization-4", "p_value(share, null)", p_value, _nulls,
        {
            "the other tail": lambda s, null: (1 + (null <= s).sum()) / (1 + len(null)),
            "a share as large is left out: > for ≥": lambda s, null: (1 + (null > s).sum()) / (1 + len(null)),
            "the real labelling is not counted": lambda s, null: (null >= s).sum() / len(null),
            "a number of relabellings, not their share": lambda s, null: 1.0 + (null >= s).sum(),
        },
    ),
)  # fmt: skip
