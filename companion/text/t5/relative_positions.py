"""Where tokens stand, as T5 tells attention: a learned number for each distance, in buckets that widen with it.

Raffel et al. 2019, arXiv:1910.10683, section 2.1. To the score of query i and key j each head adds a number that depends on
j - i alone:

    score_ij = q_i · k_j + table[bucket(j - i), head]                                        (eq-t5-bias)

A near distance n, below N = ⌊B/2⌋, has a bucket of its own. Far ones share the rest of the B buckets, in steps that grow like
n, and from D = ``max_distance`` on all fall into the last:

    b(n, B) = n                                                                if n < N
    b(n, B) = min(B - 1, N + ⌊(B - N) · log(n / N) / log(D / N)⌋)              otherwise      (eq-t5-bucket)

A decoder looks back only: bucket(d) = b(max(-d, 0), B). An encoder looks both ways and gives each way half of the buckets:
bucket(d) = b(max(d, -d), ⌊B/2⌋), plus ⌊B/2⌋ where d > 0, the key standing behind the query.

One table serves all layers of a stack; the published code keeps it in the first and hands its numbers on. What (eq-t5-bucket)
says the paper says in words; the formula is that of the published code (Mesh TensorFlow, ``transformer_layers.py``).
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.validate import Count, checked


@checked
def bucket(
    distance: Int[Tensor, "*places"], *, buckets: Count, max_distance: Count, both_ways: bool
) -> Int[Tensor, "*places"]:
    """The bucket of each distance (eq-t5-bucket).

    Args:
        distance: place of the key minus place of the query.
        buckets: how many there are, B.
        max_distance: from which on all are in the last bucket, D.
        both_ways: whether keys behind the query count, as in an encoder; if not, they are in bucket 0.

    Raises:
        ValueError: fewer buckets than two a direction, or a ``max_distance`` that has a bucket of its own.
    """
    share = buckets // 2 if both_ways else buckets  # of one direction
    near = share // 2  # so many distances have a bucket of their own
    if near < 1:
        raise ValueError(f"buckets: got {buckets}, wanted at least {4 if both_ways else 2}: two a direction")
    if max_distance <= near:
        raise ValueError(f"max_distance: got {max_distance}, wanted more than the {near} near distances")
    n = distance.abs() if both_ways else (-distance).clamp(min=0)
    found = torch.tensor(_buckets_of(share, max_distance), device=n.device)[n.clamp(max=max_distance)]
    return found + share * (distance > 0) if both_ways else found


@lru_cache(maxsize=16)
def _buckets_of(share: int, max_distance: int) -> tuple[int, ...]:
    """b(n, share) of each distance from 0 to D, worked out here: not every device has the 64 bits that it takes."""
    near = share // 2
    steps = (math.log(n / near) / math.log(max_distance / near) * (share - near) for n in range(near, max_distance + 1))
    return (*range(near), *(min(share - 1, near + int(step)) for step in steps))


class RelativePositions(nn.Module):
    """The learned numbers of one stack, a row for each bucket and a column for each head (eq-t5-bias).

    Args:
        heads: of the attentions.
        buckets: how many there are.
        max_distance: from which on all distances are in the last bucket.
        both_ways: whether the stack looks both ways.

    Raises:
        ValueError: as `bucket`.
    """

    @checked
    def __init__(self, heads: Count, *, buckets: Count = 32, max_distance: Count = 128, both_ways: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets, heads)
        self.max_distance, self.both_ways = max_distance, both_ways
        self._buckets(torch.zeros(1, dtype=torch.int64))  # sizes that do not fit are refused here

    def forward(
        self, scores: Float[Tensor, "batch heads n m"], queries: Int[Tensor, "n 1"], keys: Int[Tensor, "m"]
    ) -> Float[Tensor, "batch heads n m"]:
        """Add them to the scores: a ``score_mod`` of `companion.nn.attention.MultiHeadAttention`."""
        return scores + self.table(self._buckets(keys - queries)).permute(2, 0, 1)

    def _buckets(self, distance: Tensor) -> Tensor:
        return bucket(
            distance,
            buckets=self.table.num_embeddings,
            max_distance=self.max_distance,
            both_ways=self.both_ways,
        )
