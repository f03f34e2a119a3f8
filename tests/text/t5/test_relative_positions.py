"""Buckets of distances: the published formula in exact arithmetic, and as the library has it; a number a distance and head."""

import pytest
import torch
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5Attention

from companion.text.t5.relative_positions import RelativePositions, bucket
from tests.conftest import rejects

FAR = torch.arange(-700, 701)
EACH = [*range(-140, 141), -700, -513, -512, -511, 511, 512, 513, 700]
SIZES = pytest.mark.parametrize(
    ("buckets", "max_distance"), [(32, 128), (8, 11), (9, 20), (30, 100), (6, 5), (64, 512), (4, 3)]
)


@SIZES
@pytest.mark.parametrize("both_ways", [True, False])
def test_buckets_are_the_librarys(buckets: int, max_distance: int, both_ways: bool) -> None:
    want = T5Attention._relative_position_bucket(FAR, both_ways, buckets, max_distance)
    assert torch.equal(bucket(FAR, buckets=buckets, max_distance=max_distance, both_ways=both_ways), want)


@SIZES
@pytest.mark.parametrize("both_ways", [True, False])
def test_eq_t5_bucket_in_exact_arithmetic_I28_I60(buckets: int, max_distance: int, both_ways: bool) -> None:
    """⌊(B - N) log(n/N) / log(D/N)⌋ is the largest j for which Dʲ N^(B-N) <= n^(B-N) Nʲ: whole numbers, no rounding."""

    def far_or_near(n: int, share: int) -> int:
        near = share // 2
        if n < near:
            return n
        power, j = share - near, 0
        while max_distance ** (j + 1) * near**power <= n**power * near ** (j + 1):
            j += 1
        return min(share - 1, near + j)

    half = buckets // 2
    for d in EACH:
        want = far_or_near(abs(d), half) + half * (d > 0) if both_ways else far_or_near(max(-d, 0), buckets)
        got = bucket(torch.tensor([d]), buckets=buckets, max_distance=max_distance, both_ways=both_ways)
        assert got.tolist() == [want], f"distance {d}"


def test_what_the_published_sizes_make_of_some_distances() -> None:
    distance = torch.arange(-20, 21, 5)
    both = bucket(distance, buckets=32, max_distance=128, both_ways=True)
    assert both.tolist() == [10, 9, 8, 5, 0, 21, 24, 25, 26]
    back = bucket(distance, buckets=32, max_distance=128, both_ways=False)
    assert back.tolist() == [17, 15, 10, 5, 0, 0, 0, 0, 0]
    last = bucket(torch.tensor([-128, -1000, -127]), buckets=32, max_distance=128, both_ways=False)
    assert last.tolist() == [31, 31, 31]


def with_table(both_ways: bool) -> RelativePositions:
    positions = RelativePositions(3, buckets=8, max_distance=11, both_ways=both_ways)
    torch.nn.init.normal_(positions.table.weight)
    return positions


@pytest.mark.parametrize("both_ways", [True, False])
def test_eq_t5_bias_as_printed_I60(both_ways: bool) -> None:
    positions, scores = with_table(both_ways), torch.randn(2, 3, 4, 9)
    queries, keys = torch.arange(5, 9)[:, None], torch.arange(9)
    got = positions(scores, queries, keys)
    for i, j, h in torch.cartesian_prod(torch.arange(4), torch.arange(9), torch.arange(3)).tolist():
        at = int(bucket(torch.tensor(j - (i + 5)), buckets=8, max_distance=11, both_ways=both_ways))
        torch.testing.assert_close(got[:, h, i, j], scores[:, h, i, j] + positions.table.weight[at, h])


def test_only_distances_count_and_which_way() -> None:
    def biases(both_ways: bool, first: int) -> Tensor:
        places = torch.arange(first, first + 9)
        return with_table(both_ways)(torch.zeros(1, 3, 9, 9), places[:, None], places)[0]

    for both_ways in (True, False):
        torch.manual_seed(1)
        here = biases(both_ways, 0)
        torch.manual_seed(1)
        assert torch.equal(here, biases(both_ways, 40))
        # Of a decoder's future there is one bucket, that of the place itself.
        assert torch.equal(here[:, 0, 1] == here[:, 0, 0], torch.full((3,), not both_ways))
        assert (here[:, 1, 0] != here[:, 0, 1]).all()


def test_bad_input() -> None:
    with rejects("buckets.*at least 4"):
        RelativePositions(2, buckets=3, both_ways=True)
    with rejects("buckets.*at least 2"):
        RelativePositions(2, buckets=1, both_ways=False)
    RelativePositions(2, buckets=2, both_ways=False), RelativePositions(2, buckets=4, both_ways=True)
    with rejects("max_distance.*the 4 near"):
        RelativePositions(2, buckets=8, max_distance=4, both_ways=False)
    assert bucket(
        torch.zeros(3, dtype=torch.int64, device="meta"), buckets=8, max_distance=9, both_ways=True
    ).shape == (3,)
    with rejects("distance"):
        bucket(torch.zeros(3), buckets=8, max_distance=9, both_ways=True)
    with rejects("heads"):
        RelativePositions(0, both_ways=True)
