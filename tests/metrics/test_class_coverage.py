"""Counts and divergence by hand, and what a perfect generator scores."""

import math

import pytest
import torch

from companion.metrics.class_coverage import coverage, floor
from tests.conftest import gen, rejects


def test_by_hand() -> None:
    """Shares 1/2, 1/4, 1/4, 0 of 4 classes: log 4 less the entropy 1.5 log 2."""
    found = coverage(torch.tensor([2, 0, 0, 3]), 4)
    assert found.found == 3
    assert found.kl == pytest.approx(math.log(4) - 1.5 * math.log(2), abs=1e-12)


def test_the_ends_uniform_and_collapsed() -> None:
    assert coverage(torch.arange(7).repeat(3), 7).kl == pytest.approx(0, abs=1e-12)
    one = coverage(torch.full((9,), 4), 7)
    assert (one.found, one.kl) == (1, pytest.approx(math.log(7)))


def test_against_torch_kl_of_categoricals() -> None:
    labels = torch.randint(6, (50,), generator=gen(1)).clamp(max=4)
    p = torch.distributions.Categorical(torch.bincount(labels, minlength=6).double())
    q = torch.distributions.Categorical(torch.ones(6, dtype=torch.float64))
    assert coverage(labels, 6).kl == pytest.approx(float(torch.distributions.kl_divergence(p, q)), abs=1e-6)


@pytest.mark.parametrize(("n", "classes"), [(3_000, 200), (400, 100), (500, 3)])
def test_the_floor_is_what_the_uniform_law_itself_scores(n: int, classes: int) -> None:
    repeats = 40 if classes > 10 else 1_000
    runs = [coverage(torch.randint(classes, (n,), generator=gen(i)), classes) for i in range(repeats)]
    want = floor(n, classes)
    assert sum(r.found for r in runs) / repeats == pytest.approx(want.found, rel=0.01)
    assert sum(r.kl for r in runs) / repeats == pytest.approx(want.kl, rel=0.1)


def test_bad_input() -> None:
    with rejects("labels"):
        coverage(torch.tensor([0, 4]), 4)
    with rejects("classes"):
        floor(10, 0)
