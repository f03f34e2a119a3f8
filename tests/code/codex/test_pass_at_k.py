"""pass@k against the truth by enumeration, the published identity in exact fractions, and the biased estimate beside it."""

import math
from fractions import Fraction
from itertools import combinations

import pytest

from companion.code.codex.pass_at_k import expected, mean_pass_at_k, pass_at_k, plug_in
from tests.conftest import rejects


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_equals_the_share_of_all_subsets_with_a_right_program(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            chosen = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen), abs=1e-14)


@pytest.mark.parametrize(("n", "c", "k"), [(200, 1, 100), (200, 3, 10), (1000, 7, 100), (5000, 2, 2500)])
def test_large_numbers_as_exact_fractions(n: int, c: int, k: int) -> None:
    """The formula as printed, with whole numbers of hundreds of digits, against the product."""
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.05, 0.37, 0.9, 1.0])
def test_has_no_bias_and_the_plug_in_has(p: float) -> None:
    for n, k in [(10, 3), (10, 10), (20, 1), (13, 7)]:
        truth = 1 - (1 - p) ** k
        assert expected(pass_at_k, n, k, p) == pytest.approx(truth, abs=1e-12)
        if k > 1 and 0 < p < 1:
            assert expected(plug_in, n, k, p) < truth - 1e-6
    assert expected(plug_in, 10, 3, 0.37) - (1 - 0.63**3) == pytest.approx(-0.0430, abs=5e-4)


@pytest.mark.parametrize("n", [1_029, 1_030, 2_000])
def test_many_programs_do_not_overflow(n: int) -> None:
    for p in (0.0, 1e-4, 0.3, 1.0):
        for k in (1, 7, n):
            assert expected(pass_at_k, n, k, p) == pytest.approx(1 - (1 - p) ** k, abs=1e-10)
    assert pass_at_k(10**6, 10**5, 1) == pytest.approx(0.1) and pass_at_k(n, n - 1, 1) == pytest.approx(1 - 1 / n)
    assert plug_in(n, 1, n) == pytest.approx(1 - math.exp(-1), abs=1e-3)


def test_expected_is_the_sum_over_all_outcomes_in_exact_fractions() -> None:
    p, n, k = Fraction(3, 10), 12, 4
    exact = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * Fraction(plug_in(n, c, k)) for c in range(n + 1))
    assert expected(plug_in, n, k, 0.3) == pytest.approx(float(exact), abs=1e-14)


def test_ends() -> None:
    assert pass_at_k(9, 0, 4) == 0 and pass_at_k(9, 9, 1) == 1 and pass_at_k(9, 6, 4) == 1
    assert pass_at_k(8, 3, 1) == pytest.approx(3 / 8)
    values = [pass_at_k(50, 4, k) for k in range(1, 51)]
    assert values == sorted(values)


def test_mean_is_over_tasks() -> None:
    assert mean_pass_at_k([0, 10], 10, 5) == pytest.approx(0.5)
    assert mean_pass_at_k([1, 2, 3], 10, 1) == pytest.approx(0.2)


def test_bad_input() -> None:
    for bad in [(0, 0, 1), (5, 6, 1), (5, -1, 1), (5, 1, 6), (5, 1, 0)]:
        with rejects("[nck]: got"):
            pass_at_k(*bad)
    with rejects("n: got 2.5"):
        pass_at_k(2.5, 1, 1)
    with rejects("n: got 0"):
        plug_in(0, 0, 1)
    with rejects("p: got 1.5"):
        expected(pass_at_k, 5, 1, 1.5)
    with rejects("right"):
        mean_pass_at_k([], 10, 1)
