r"""Nearest neighbours, a permutation test for copied training data, and extraction.

`nearest` finds, for each query, the closest references by Euclidean distance (eq-memorization-distance). `copying_test` asks
whether samples of a model lie closer to its training set than to data that it never saw. Put the training set and a held-out
set of the same size in one pool; the share of samples whose nearest neighbour in the pool is a training example is
(eq-memorization-share) one half on average if the model learned nothing of its training set but what any other draw of data
would have taught it. Which half of the pool was trained on is then a coin toss that the samples know nothing of, so swapping
labels at random gives the exact distribution of the share (eq-memorization-null): a permutation test.

`extracted` counts the references that some sample reproduces within a threshold, as Carlini et al. define extraction.

Sources: Meehan, Chaudhuri & Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models", arXiv:2004.05675,
for comparing three samples (their test is by rank sums, this one by permutation); Carlini et al., arXiv:2301.13188.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.training.precision import widened
from companion.training.random import rand
from companion.validate import Count, Finite, NonNegative, check_count, checked


@dataclass(frozen=True)
class Neighbours:
    """The k nearest references of each query, nearest first.

    Attributes:
        distance: Euclidean.
        index: places among the references.
    """

    distance: Float[Tensor, "queries k"]
    index: Int[Tensor, "queries k"]


@checked
def nearest(queries: Finite[Tensor, "n ..."], references: Finite[Tensor, "m ..."], k: int = 1) -> Neighbours:
    """The k nearest references of each query by Euclidean distance over all the other axes.

    Args:
        queries: what is looked up, one an example.
        references: examples of the same shape.
        k: how many; at most m.

    Raises:
        ValueError: shapes that differ, an empty set, k outside 1 to m, values that are not finite.
    """
    if queries.ndim < 2 or queries.shape[1:] != references.shape[1:] or not len(queries) or not len(references):
        raise ValueError(
            f"queries and references: got shapes {tuple(queries.shape)} and {tuple(references.shape)}, wanted (n, ...) and "
            "(m, ...) with equal axes after the first, and no empty axis"
        )
    check_count("k", k, high=len(references))
    # The differences themselves, not |a|² + |b|² - 2ab: its rounding error hides how close a copy is.
    rows = widened(queries.flatten(1)), widened(references.flatten(1))
    distance = torch.cdist(*rows, compute_mode="donot_use_mm_for_euclid_dist")
    found = distance.topk(k, dim=1, largest=False)
    return Neighbours(found.values, found.indices)


@dataclass(frozen=True)
class CopyingTest:
    """What `copying_test` found.

    Attributes:
        share: the share of samples that lie nearer to a training example than to any held-out one.
        null: the share under each random swap of the two halves.
        p_value: the chance of a share at least this large if training left no trace; at least 1/(permutations + 1).
    """

    share: float
    null: Float[Tensor, "permutations"]
    p_value: float


@checked
def copying_test(
    samples: Float[Tensor, "n ..."],
    train: Float[Tensor, "m ..."],
    held_out: Float[Tensor, "m ..."],
    generator: torch.Generator,
    permutations: Count = 999,
) -> CopyingTest:
    """Do samples lie closer to the training set than to held-out data of the same kind?

    Args:
        samples: of the model.
        train: what it was trained on, without duplicates.
        held_out: as many examples that it never saw; which is which must have been decided by chance.
        generator: for the permutations.
        permutations: how many random relabellings make the null distribution.

    Raises:
        ValueError: two sets of different sizes: the larger would hold the nearest neighbour more often by its size alone.
    """
    pool = torch.cat([train, held_out])
    hits = torch.bincount(nearest(samples, pool).index[:, 0].cpu(), minlength=len(pool)).double()
    share = float(hits[: len(train)].sum()) / len(samples)
    orders = rand((permutations, len(pool)), generator, device="cpu").argsort(1)[:, : len(train)]
    null = hits[orders].sum(1) / len(samples)
    # The share itself is one of the possible labellings; the tolerance is for sums in another order.
    p_value = (1 + int((null >= share - 1e-12).sum())) / (permutations + 1)
    return CopyingTest(share, null, p_value)


@checked
def extracted(
    samples: Float[Tensor, "n ..."], references: Float[Tensor, "m ..."], threshold: NonNegative
) -> Bool[Tensor, "m"]:
    """Which references some sample reproduces: its nearest neighbour among them lies within the threshold.

    Args:
        samples: of the model.
        references: the training examples.
        threshold: a distance; `nearest` of real data among real data says what is unusually close.
    """
    found = nearest(samples, references)
    within = found.distance[:, 0] <= threshold
    hit = torch.zeros(len(references), dtype=torch.bool, device=references.device)
    hit[found.index[within, 0]] = True
    return hit
