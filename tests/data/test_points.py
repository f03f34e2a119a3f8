"""The 2-D sets: their law is what it says, their splits are disjoint, and bad input is named."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from companion.data.points import GaussianMixture, grid, moons, ring
from tests.conftest import rejects

LOADERS = [ring, grid, moons]


def unequal_mixture(dtype: torch.dtype = torch.float64) -> GaussianMixture:
    """Three Gaussians in three dimensions with unequal shares."""
    generator = torch.Generator().manual_seed(3)
    means = torch.randn(3, 3, generator=generator, dtype=dtype)
    return GaussianMixture(means, 0.7, torch.tensor([0.5, 0.3, 0.2], dtype=dtype))


def reference(law: GaussianMixture) -> MixtureSameFamily:
    parts = Independent(Normal(law.means, torch.full_like(law.means, law.sd)), 1)
    return MixtureSameFamily(Categorical(law.weights), parts)


def test_log_density_equals_torch_distributions_I63():
    law = unequal_mixture()
    x = 2 * torch.randn(50, 3, dtype=torch.float64)
    assert torch.allclose(law.log_prob(x), reference(law).log_prob(x), atol=1e-12)


def test_log_density_as_printed_in_the_docstring():
    """eq-mixture-density, with the sum written out (I60)."""
    law = ring(modes=3, radius=1.0, sd=0.4).mixture
    x = torch.tensor([[0.2, -0.9]], dtype=torch.float64)
    p = 0.0
    for k in range(3):
        r2 = float((x - law.means[k].double()).square().sum())
        p += float(law.weights[k]) * math.exp(-r2 / (2 * 0.4**2)) / (2 * math.pi * 0.4**2)
    assert math.isclose(math.exp(float(law.log_prob(x))), p, rel_tol=1e-6)


def test_score_equals_autograd_of_the_log_density():
    law = unequal_mixture()
    x = (2 * torch.randn(50, 3, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_prob(x).sum(), x)
    assert torch.allclose(law.score(x.detach()), gradient, atol=1e-12)


def test_far_from_every_mean_the_score_is_finite():
    law = ring().mixture
    score = law.score(torch.tensor([[60.0, 80.0]]))
    assert score.isfinite().all() and (score < 0).all()


def test_density_sums_to_one():
    law = ring().mixture
    axis = torch.linspace(-3, 3, 601)
    total = law.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * 0.01**2
    assert math.isclose(float(total), 1, rel_tol=1e-4)


def test_smoothed_and_scaled_are_the_laws_of_noised_and_scaled_points():
    law = unequal_mixture()
    x, _ = law.sample(200_000, torch.Generator().manual_seed(0))
    noised = 0.5 * (x + 0.3 * torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1)))
    claimed, _ = law.smoothed(0.3).scaled(0.5).sample(200_000, torch.Generator().manual_seed(2))
    assert torch.allclose(noised.mean(0), claimed.mean(0), atol=5e-3)
    assert torch.allclose(noised.T.cov(), claimed.T.cov(), atol=5e-3)
    # ... and of their density: the change of variables of a scaling.
    y = torch.randn(20, 3, dtype=torch.float64)
    assert torch.allclose(law.scaled(0.5).log_prob(y / 2), law.log_prob(y) + 3 * math.log(2), atol=1e-12)


def test_sample_has_the_shares_and_the_width():
    law = unequal_mixture()
    x, labels = law.sample(100_000, torch.Generator().manual_seed(0))
    shares = labels.bincount() / len(labels)
    assert torch.allclose(shares.double(), law.weights, atol=6e-3)
    rest = x - law.means[labels]
    assert abs(float(rest.std()) - 0.7) < 5e-3 and float(rest.mean().abs()) < 5e-3


@pytest.mark.parametrize("loader", LOADERS)
def test_splits_are_disjoint_repeatable_and_described(loader):
    parts = {name: loader(name) for name in ("train", "valid", "test")}
    rows = [set(map(tuple, part.points.tolist())) for part in parts.values()]
    assert [len(part) for part in parts.values()] == [8_000, 1_000, 1_000]
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])
    assert set().union(*rows) == set(map(tuple, loader("all").points.tolist()))
    assert torch.equal(loader("valid").points, parts["valid"].points)
    for part in parts.values():
        assert part.points.shape == (len(part), 2) and part.points.dtype == torch.float32
        assert part.labels.shape == (len(part),) and part.labels.dtype == torch.int64
        assert part.points.isfinite().all()
        assert part.license == "generated" and loader.__name__ in part.source and part.name in repr(part)


@pytest.mark.parametrize("loader", LOADERS)
def test_draw_is_fresh_repeatable_and_a_batch_for_train(loader):
    data = loader()
    (a,), (b,), (c,) = (data.draw(7, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.shape == (7, 2) and torch.equal(a, b) and not torch.equal(a, c)
    generator = torch.Generator().manual_seed(1)
    assert not torch.equal(data.draw(7, generator)[0], data.draw(7, generator)[0])


def test_the_means_lie_where_they_should():
    law = ring(modes=6, radius=3.0).mixture
    assert torch.allclose(law.means.norm(dim=1), torch.full((6,), 3.0)) and torch.allclose(
        law.means[0], torch.tensor([3.0, 0.0])
    )
    assert torch.allclose(law.means.sum(0), torch.zeros(2), atol=1e-5)
    means = grid().mixture.means
    assert means.shape == (25, 2) and means.unique(dim=0).shape == (25, 2)
    assert means.min() == -2 and means.max() == 2 and torch.allclose(means.mean(0), torch.zeros(2))


def test_moons_without_noise_lie_on_two_half_circles():
    data = moons(noise=0.0)
    for label, sign in ((0, 1), (1, -1)):
        shifted = sign * data.points[data.labels == label] + torch.tensor([0.5, 0.25])
        assert (
            torch.allclose(shifted.norm(dim=1), torch.ones(len(shifted)), atol=1e-5) and (shifted[:, 1] >= -1e-6).all()
        )


def test_a_set_without_a_closed_form_says_so():
    with rejects("moons: got a set without a closed-form"):
        moons().mixture


@pytest.mark.parametrize("loader", LOADERS)
def test_unknown_split(loader):
    with rejects("split: got 'dev'"):
        loader("dev")


@settings(max_examples=25, deadline=None)
@given(bad=st.one_of(st.integers(max_value=0), st.floats(), st.none(), st.booleans()))
def test_counts_must_be_whole_and_positive(bad):
    with rejects("modes: got"):
        ring(modes=bad)
    with rejects("n: got"):
        ring().draw(bad, torch.Generator())


def test_bad_input():
    for call, pattern in [
        (lambda: ring(radius=0.0), "radius: got 0.0"),
        (lambda: ring(sd=float("nan")), "sd: got nan"),
        (lambda: grid(side=0), "side: got 0"),
        (lambda: grid(spacing=-1.0), "spacing: got -1.0"),
        (lambda: moons(noise=-0.1), "noise: got -0.1"),
        (lambda: ring().mixture.smoothed(-1.0), "sigma: got -1.0"),
        (lambda: ring().mixture.scaled(0.0), "factor: got 0.0"),
        (lambda: ring().mixture.log_prob(torch.zeros(4, 3)), r"x: got shape \(4, 3\), wanted \(n d=2\)"),
        (lambda: ring().mixture.score(torch.zeros(0, 2)), "x: got shape"),
        (lambda: GaussianMixture(torch.zeros(2, 2), 1.0, torch.tensor([0.5, 0.6])), "weights: got"),
        (lambda: GaussianMixture(torch.zeros(2, 2), 1.0, torch.ones(3) / 3), "weights: got shape"),
        (lambda: GaussianMixture(torch.full((1, 2), float("nan")), 1.0, torch.ones(1)), "means: got 2 values"),
    ]:
        with rejects(pattern):
            call()
