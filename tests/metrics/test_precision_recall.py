"""The region by brute force, cases that can be seen on paper, and which way each number moves."""

import pytest
import torch

from companion.metrics.precision_recall import inside, precision_recall
from tests.conftest import gen, rejects


def brute(points: torch.Tensor, region: torch.Tensor, k: int) -> list[bool]:
    """As the paper says it, one point at a time."""
    answers = []
    for x in points:
        hit = False
        for i, centre in enumerate(region):
            others = sorted(float((centre - o).norm()) for j, o in enumerate(region) if j != i)
            hit = hit or float((x - centre).norm()) <= others[k - 1]
        answers.append(hit)
    return answers


@pytest.mark.parametrize("k", [1, 3, 5])
def test_against_brute_force(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.metrics.precision_recall.PART", 4)  # so that parts have to fit together
    a, b = torch.randn(23, 3, generator=gen(1)).double(), 1.5 * torch.randn(17, 3, generator=gen(2)).double()
    assert inside(a, b, k).tolist() == brute(a, b, k)
    found = precision_recall(a, b, k)
    assert found.precision == pytest.approx(sum(brute(a, b, k)) / 23, abs=1e-6)
    assert found.recall == pytest.approx(sum(brute(b, a, k)) / 17, abs=1e-6)


def test_on_a_line() -> None:
    """Points 0, 1, 3: balls to the nearest other reach from -1 to 1, 0 to 2, 1 to 5."""
    region = torch.tensor([[0.0], [1.0], [3.0]])
    places = torch.tensor([[-1.1], [-1.0], [0.5], [2.0], [5.0], [5.1]])
    assert inside(places, region, 1).tolist() == [False, True, True, True, True, False]


def test_a_generator_that_leaves_out_half_loses_recall_and_one_that_adds_noise_precision() -> None:
    real = torch.randn(300, 2, generator=gen(1))
    other = torch.randn(300, 2, generator=gen(2))
    half = precision_recall(other[other[:, 0] > 0], real)
    loud = precision_recall(torch.cat([other[:150], 9 + other[:150]]), real)
    good = precision_recall(other, real)
    assert half.precision > 0.9 and half.recall < 0.7 < good.recall
    assert loud.recall > 0.8 and 0.4 < loud.precision < 0.51 < good.precision


def test_a_sample_equal_to_the_data_has_both() -> None:
    real = torch.randn(40, 5, generator=gen(1))
    found = precision_recall(real.flip(0), real, 1)
    assert (found.precision, found.recall) == (1, 1)


def test_bad_input() -> None:
    with rejects("k"):
        inside(torch.zeros(3, 2), torch.zeros(4, 2), 4)
    with rejects("d"):
        precision_recall(torch.zeros(3, 2), torch.zeros(4, 3))
    with rejects("samples|points"):
        precision_recall(torch.full((5, 2), torch.nan), torch.zeros(5, 2))
