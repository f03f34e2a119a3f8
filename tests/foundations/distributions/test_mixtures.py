"""Mixtures, EM and factor analysis: against `torch.distributions`, dense algebra, and the rule that EM never goes down."""

import math

import pytest
import torch
import torch.distributions as td

from companion.foundations.distributions.factor_analysis import FactorAnalyser
from companion.foundations.distributions.families import Bernoulli, DiagonalGaussian, FullGaussian
from companion.foundations.distributions.mixtures import (
    Mixture,
    em_step,
    fit_mixture,
    from_groups,
    k_means,
    k_means_centres,
)
from tests.conftest import rejects

F64 = torch.float64
N, D, K, Q = 5, 7, 3, 2


def _analyser(dtype=F64):
    return FactorAnalyser(torch.randn(D, dtype=dtype), torch.randn(D, Q, dtype=dtype), torch.rand(D, dtype=dtype) + 0.1)


def _full():
    a = torch.randn(D, D, dtype=F64)
    return FullGaussian(torch.randn(D, dtype=F64), a @ a.T + torch.eye(D, dtype=F64))


def _diagonal():
    return DiagonalGaussian(torch.randn(D, dtype=F64), torch.rand(D, dtype=F64) + 0.1)


def _mixture(make, k=K):
    return Mixture(torch.randn(k, dtype=F64).log_softmax(0), tuple(make() for _ in range(k)))


def _clusters(n=300, dtype=F64):
    g = torch.Generator().manual_seed(7)
    centres = 3 * torch.randn(4, D, generator=g, dtype=dtype)
    return centres[torch.randint(4, (n,), generator=g)] + torch.randn(n, D, generator=g, dtype=dtype)


# --- parity and the equations -----------------------------------------------------------------------------------------


def test_mixture_equals_torch_I63():
    m, x = _mixture(_diagonal), torch.randn(N, D, dtype=F64)
    means, scales = (torch.stack(v) for v in zip(*((c.mean, c.var.sqrt()) for c in m.components), strict=True))
    reference = td.MixtureSameFamily(td.Categorical(logits=m.log_weights), td.Independent(td.Normal(means, scales), 1))
    torch.testing.assert_close(m.log_prob(x), reference.log_prob(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [_diagonal, _full, _analyser])
def test_equations_of_the_mixture_and_of_em_as_printed_I60(make):
    m, x = _mixture(make), torch.randn(40, D, dtype=F64)
    pi = m.log_weights.exp()
    p = torch.stack([c.log_prob(x).exp() for c in m.components], 1)
    torch.testing.assert_close(m.log_prob(x).exp(), (pi * p).sum(1))  # eq-dist-mixture
    r = pi * p / (pi * p).sum(1, keepdim=True)  # eq-dist-responsibility
    torch.testing.assert_close(m.responsibilities(x), r)
    after, before = em_step(m, x, 1e-6)
    torch.testing.assert_close(after.log_weights.exp(), r.mean(0))  # eq-dist-em
    assert before == pytest.approx(m.log_prob(x).mean().item())
    if make is not _analyser:
        means = torch.stack([c.mean for c in after.components])
        torch.testing.assert_close(means, torch.einsum("nk,nd->kd", r, x) / r.sum(0)[:, None])


def test_mixture_of_one_is_its_component():
    p, x = _full(), torch.randn(N, D, dtype=F64)
    torch.testing.assert_close(Mixture(torch.zeros(1, dtype=F64), (p,)).log_prob(x), p.log_prob(x))


def test_order_of_components_does_not_matter_and_far_points_stay_finite():
    m = _mixture(_diagonal)
    turned = Mixture(m.log_weights.flip(0), m.components[::-1])
    x = torch.cat([torch.randn(N, D, dtype=F64), torch.full((1, D), 1e4, dtype=F64)])
    torch.testing.assert_close(m.log_prob(x), turned.log_prob(x))
    assert m.log_prob(x).isfinite().all()  # exp(-1e9) would be 0 without logsumexp
    torch.testing.assert_close(m.responsibilities(x).sum(1), torch.ones(len(x), dtype=F64))


# --- EM ---------------------------------------------------------------------------------------------------------------


def _start(kind, x, floor=0.05):
    groups = torch.randint(K, (len(x),), generator=torch.Generator().manual_seed(1))
    if kind is FactorAnalyser:
        return from_groups(x, groups, lambda part: FactorAnalyser.start(part, Q, floor=floor))
    return from_groups(x, groups, lambda part: kind.fit(part, floor=floor))


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian, Bernoulli, FactorAnalyser])
def test_em_never_lowers_the_likelihood(kind):
    x = (_clusters() > 0).to(F64) if kind is Bernoulli else _clusters()
    history = torch.tensor(fit_mixture(_start(kind, x), x, 25, floor=0.05).log_likelihood, dtype=F64)
    assert history.diff().min() > -1e-10
    assert history[-1] - history[0] > 0.1


def test_em_never_lowers_the_likelihood_where_the_floor_holds_variances_up():
    x = _clusters()
    x[:, 0] = 1.0  # a pixel that never changes; the start obeys the floor too
    for kind in (DiagonalGaussian, FullGaussian, FactorAnalyser):
        history = torch.tensor(fit_mixture(_start(kind, x, 0.5), x, 20, floor=0.5).log_likelihood, dtype=F64)
        assert history.diff().min() > -1e-10


def test_em_recovers_the_mixture_that_made_the_data():
    truth = Mixture(
        torch.tensor([0.2, 0.5, 0.3], dtype=F64).log(),
        tuple(
            DiagonalGaussian(c * torch.ones(D, dtype=F64), v * torch.ones(D, dtype=F64))
            for c, v in ((-4, 1), (0, 0.5), (4, 2))
        ),
    )
    x = truth.sample(4_000, torch.Generator().manual_seed(0))
    groups = k_means(x, 3, torch.Generator().manual_seed(0))
    found = fit_mixture(from_groups(x, groups, DiagonalGaussian.fit), x, 20).mixture
    order = torch.stack([c.mean[0] for c in found.components]).argsort()
    torch.testing.assert_close(found.log_weights.exp()[order], truth.log_weights.exp(), rtol=0, atol=0.03)
    means = torch.stack([found.components[i].mean for i in order])
    torch.testing.assert_close(means.mean(1), torch.tensor([-4.0, 0.0, 4.0], dtype=F64), rtol=0, atol=0.1)


def test_a_component_that_lost_its_examples_stays_and_breaks_nothing():
    x = _clusters(50)
    far = DiagonalGaussian(torch.full((D,), 1e3, dtype=F64), torch.ones(D, dtype=F64))
    m = Mixture(torch.tensor([0.5, 0.5], dtype=F64).log(), (DiagonalGaussian.fit(x), far))
    result = fit_mixture(m, x, 3)
    assert result.mixture.components[1] is far
    assert torch.tensor(result.log_likelihood).diff().min() > -1e-6
    assert result.mixture.log_prob(x).isfinite().all()


def test_mixture_beats_one_gaussian_on_held_out_clusters():
    x = _clusters(800)
    train, test = x[:600], x[600:]
    groups = k_means(train, 4, torch.Generator().manual_seed(0))
    mixture = fit_mixture(from_groups(train, groups, DiagonalGaussian.fit), train, 20).mixture
    one = FullGaussian.fit(train)
    assert mixture.log_prob(test).mean() > one.log_prob(test).mean() + 0.5


# --- samples and groups -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [_diagonal, _full, _analyser])
def test_samples_have_the_mixtures_mean_and_follow_the_generator(make):
    m = _mixture(make)
    x = m.sample(20_000, torch.Generator().manual_seed(2))
    assert torch.equal(x, m.sample(20_000, torch.Generator().manual_seed(2)))
    want = sum(w * c.mean for w, c in zip(m.log_weights.exp(), m.components, strict=True))
    assert ((x.mean(0) - want).abs() / (x.std(0) / math.sqrt(len(x)))).max() < 4.5
    shares = m.responsibilities(x).mean(0)
    torch.testing.assert_close(shares, m.log_weights.exp(), rtol=0, atol=0.02)


def test_k_means_separates_what_is_separate_and_copes_with_duplicates():
    x = torch.cat([torch.randn(30, 2) - 20, torch.randn(40, 2) + 20])
    groups = k_means(x, 2, torch.Generator().manual_seed(0))
    assert len(groups[:30].unique()) == len(groups[30:].unique()) == 1
    assert groups[0] != groups[-1]
    assert k_means(torch.ones(5, 2), 3, torch.Generator()).shape == (5,)


def test_first_centres_are_drawn_by_the_square_of_the_distance():
    """Of the points 0, 1 and 3: after 0 comes 1 with chance 1/(1 + 9), after 1 comes 0 with chance 1/(1 + 4).

    Only the first makes the groups 0 | 1 3 in this order, and only the second 1 3 | 0.
    """
    x, g, n = torch.tensor([[0.0], [1.0], [3.0]]), torch.Generator().manual_seed(0), 3_000
    seen = [tuple(k_means(x, 2, g, steps=0).tolist()) for _ in range(n)]
    for groups, wanted in (((0, 1, 1), 1 / 3 / 10), ((1, 0, 0), 1 / 3 / 5)):
        assert abs(seen.count(groups) / n - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / n)


@pytest.mark.parametrize("seed", range(5))
def test_no_point_becomes_a_centre_twice(seed):
    """Its distance from the nearest centre is then 0: with as many centres as points each is a group of its own."""
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(7))
    assert len(k_means(x, 6, torch.Generator().manual_seed(seed), steps=0).unique()) == 6


def test_a_weight_counts_as_so_many_copies_of_the_example():
    """Three examples at 0 and one at 1 have their mean at a quarter; an example that counts nothing pulls nowhere."""
    x, weights = torch.tensor([[0.0], [1.0], [8.0], [9.0]]), torch.tensor([3.0, 1.0, 1.0, 0.0])
    g = torch.Generator().manual_seed(0)
    for _ in range(5):
        centres = k_means_centres(x, 2, g, weights=weights).sort(0).values
        torch.testing.assert_close(centres, torch.tensor([[0.25], [8.0]]))


def test_an_example_without_weight_is_no_further_centre():
    """Of 0, 1 and the far 100, which counts nothing, the second centre is 0 or 1 unless 100 was the first."""
    x, weights = torch.tensor([[0.0], [1.0], [100.0]]), torch.tensor([1.0, 1.0, 0.0])
    g = torch.Generator().manual_seed(0)
    firsts = [k_means_centres(x, 2, g, weights=weights, steps=0)[:, 0].tolist() for _ in range(50)]
    assert {tuple(found) for found in firsts} <= {(0.0, 1.0), (1.0, 0.0), (100.0, 0.0), (100.0, 1.0)}


# --- bad input --------------------------------------------------------------------------------------------------------


def test_bad_input_is_one_clear_error_each():
    m, x, g = _mixture(_diagonal), torch.zeros(N, D, dtype=F64), torch.Generator()
    with rejects("components"):
        Mixture(m.log_weights, m.components[:-1])
    with rejects("sum to"):
        Mixture(m.log_weights + 1, m.components)
    with rejects("NaN"):
        Mixture(m.log_weights * torch.nan, m.components)
    with rejects("d = "):
        m.log_prob(x[:, :1])
    with rejects("steps"):
        fit_mixture(m, x, 0)
    with rejects("NaN"):
        fit_mixture(m, x * torch.nan, 1)
    with rejects("floor"):
        fit_mixture(m, x, 1, floor=-1.0)
    with rejects("floor"):
        fit_mixture(m, x, 1, floor=0.0)
    with rejects("empty"):
        fit_mixture(m, x[:0], 1)
    with rejects("n = "):
        from_groups(x, torch.zeros(N + 1, dtype=torch.long), DiagonalGaussian.fit)
    with rejects("k: got"):
        k_means(x, N + 1, g)
    with rejects("n: got"):
        m.sample(-1, g)
    a = _analyser()
    with rejects("var"):
        FactorAnalyser(a.mean, a.factors, -a.var)
    with rejects("d = "):
        FactorAnalyser(a.mean, a.factors[:-1], a.var)
    with rejects("rank"):
        FactorAnalyser.start(x, D + 1)
    with rejects("NaN"):
        FactorAnalyser.start(x * torch.nan, 1)
    with rejects("d = "):
        a.log_prob(x[:, :1])
    with rejects("n = "):
        a.refit(x, torch.ones(N + 1, dtype=F64), 1e-6)
    with rejects("weights"):
        a.refit(x, torch.zeros(N, dtype=F64), 1e-6)
