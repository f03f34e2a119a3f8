"""The Fréchet distance: closed forms, an independent square root, and what must not change it."""

import math

import pytest
import scipy.linalg
import torch

from companion.metrics.frechet import FeatureGaussian, frechet_distance, frechet_floor
from tests.conftest import rejects


def features(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + torch.randn(d, generator=generator)


def test_one_dimension_is_the_difference_of_means_and_of_deviations():
    """W2² of N(m, s²) and N(m', s'²) is (m - m')² + (s - s')²."""
    a = FeatureGaussian(torch.tensor([1.5]).double(), torch.tensor([[4.0]]).double())
    b = FeatureGaussian(torch.tensor([-0.5]).double(), torch.tensor([[0.25]]).double())
    assert a.distance(b) == pytest.approx(2.0**2 + (2 - 0.5) ** 2, abs=1e-12)


def test_commuting_covariances_have_a_closed_form():
    """With one basis for both, the distance is the sum over its axes."""
    basis, _ = torch.linalg.qr(features(5, 5, 0))
    s, t = torch.tensor([3.0, 2, 1, 0.5, 0]).double(), torch.tensor([1.0, 4, 0, 0.5, 2]).double()
    law = [FeatureGaussian(torch.zeros(5).double(), basis * scale.square() @ basis.T) for scale in (s, t)]
    # Where an eigenvalue is 0, the root turns a rounding error of 1e-16 into one of 1e-8.
    assert law[0].distance(law[1]) == pytest.approx(float((s - t).square().sum()), abs=1e-6)


def test_general_covariances_equal_scipys_square_root():
    a, b = features(40, 7, 1), features(31, 7, 2)
    mean_a, mean_b = a.mean(0), b.mean(0)
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    root = scipy.linalg.sqrtm((cov_a @ cov_b).numpy()).real
    wanted = float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace()) - 2 * math.fsum(root.diagonal())
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(wanted, rel=1e-9)


def test_the_distance_as_printed_is_the_least_cost_of_moving_I60():
    """The linear map between the two Gaussians moves points by the printed mean squared distance, and no map by less."""
    a, b = features(40, 3, 3), features(50, 3, 4)
    p, q = FeatureGaussian.fit(a), FeatureGaussian.fit(b)
    root = torch.from_numpy(scipy.linalg.sqrtm(p.covariance.numpy()).real)
    middle = torch.from_numpy(scipy.linalg.sqrtm((root @ q.covariance @ root).numpy()).real)
    transport = torch.linalg.inv(root) @ middle @ torch.linalg.inv(root)
    moved = (a - p.mean) @ transport.T + q.mean
    torch.testing.assert_close(FeatureGaussian.fit(moved).covariance, q.covariance)
    # n - 1 as in the covariance: the mean over the sample of |moved - a|² without the means' part, then the means' part.
    spread = ((moved - q.mean) - (a - p.mean)).square().sum() / (len(a) - 1)
    assert p.distance(q) == pytest.approx(float(spread + (p.mean - q.mean).square().sum()), rel=1e-9)


def test_a_shift_a_turn_and_fewer_examples_than_features():
    a, b = features(6, 20, 5), features(9, 20, 6)
    turn, _ = torch.linalg.qr(features(20, 20, 7))
    base = frechet_distance(a, b)
    assert math.isfinite(base) and base > 0
    assert frechet_distance(a @ turn + 3, b @ turn + 3) == pytest.approx(base, rel=1e-6)
    assert frechet_distance(a, a + 2) == pytest.approx(20 * 4, rel=1e-6)
    assert frechet_distance(a, a.flip(0)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(base, rel=1e-4)


def test_spread_is_seen_even_where_the_means_agree():
    a = features(4_000, 3, 8)
    assert frechet_distance(a, a.mean(0) + 0.1 * (a - a.mean(0))) > 0.5 * float(torch.cov(a.T).trace())


def test_the_floor_is_above_zero_and_falls_with_the_size_of_the_sample():
    real = features(3_000, 12, 9)
    held_out, reference = real[:1_200], real[1_200:]
    small, large = (frechet_floor(held_out, reference, n, torch.Generator().manual_seed(0)) for n in (50, 1_000))
    assert small > 4 * large > 0
    again = frechet_floor(held_out, reference, 50, torch.Generator().manual_seed(0))
    assert again == small
    whole = frechet_floor(held_out, reference, 1_200, torch.Generator(), draws=2)
    assert whole == pytest.approx(frechet_distance(held_out, reference), rel=1e-6)


def test_bad_input():
    good = torch.randn(4, 3)
    for call, pattern in [
        (lambda: frechet_distance(good, torch.randn(4, 2)), "b: got shape"),
        (lambda: frechet_distance(good[0], good), "a: got shape"),
        (lambda: frechet_distance(good[:1], good), "features: got 1 example"),
        (lambda: frechet_distance(good, torch.full((4, 3), float("nan"))), "features: got 12 values"),
        (lambda: frechet_distance(good.long(), good), "a: got torch.int64"),
        (lambda: frechet_floor(good, good, 5, torch.Generator()), "n: got 5"),
        (lambda: frechet_floor(good, good[:, :2], 3, torch.Generator()), "reference: got shape"),
        (lambda: frechet_floor(good, good, 2, torch.Generator(), draws=0), "draws: got 0"),
    ]:
        with rejects(pattern):
            call()
