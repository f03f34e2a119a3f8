"""Densities, fits, entropies and divergences against `torch.distributions`, closed forms and the printed equations."""

import math

import pytest
import torch
import torch.distributions as td
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.foundations.distributions.families import Bernoulli, Categorical, DiagonalGaussian, FullGaussian
from companion.foundations.distributions.monte_carlo import kl_monte_carlo, monte_carlo
from tests.conftest import rejects

N, D, C = 5, 7, 3  # awkward on purpose: all different
F64 = torch.float64


def _diagonal(dtype=F64, d=D):
    return DiagonalGaussian(torch.randn(d, dtype=dtype), torch.rand(d, dtype=dtype) + 0.1)


def _full(dtype=F64, d=D):
    a = torch.randn(d, d, dtype=dtype)
    return FullGaussian(torch.randn(d, dtype=dtype), a @ a.T + 0.1 * torch.eye(d, dtype=dtype))


def _bernoulli(dtype=F64):
    return Bernoulli(3 * torch.randn(D, dtype=dtype))


def _categorical(dtype=F64):
    return Categorical(2 * torch.randn(D, C, dtype=dtype))


def _reference(p):
    if isinstance(p, DiagonalGaussian):
        return td.Independent(td.Normal(p.mean, p.var.sqrt()), 1)
    if isinstance(p, FullGaussian):
        return td.MultivariateNormal(p.mean, p.cov)
    if isinstance(p, Bernoulli):
        return td.Independent(td.Bernoulli(logits=p.logits), 1)
    return td.Independent(td.Categorical(logits=p.logits), 1)


ALL = pytest.mark.parametrize("make", [_diagonal, _full, _bernoulli, _categorical])


# --- parity -----------------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-10), (torch.float32, 1e-5)])
def test_log_prob_equals_torch_not_only_its_differences_I63(make, dtype, tolerance):
    p = make(dtype)
    x = _reference(p).sample((N,))
    torch.testing.assert_close(p.log_prob(x), _reference(p).log_prob(x), rtol=tolerance, atol=tolerance)


@ALL
def test_entropy_and_kl_are_summed_over_dimensions_as_in_torch_I1(make):
    p, q = make(), make()
    torch.testing.assert_close(p.entropy(), _reference(p).entropy(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(p.kl(q), td.kl_divergence(_reference(p), _reference(q)), rtol=1e-10, atol=1e-10)
    assert p.kl(p).abs() < 1e-10
    assert (p.kl(q) - q.kl(p)).abs() > 1e-3


@ALL
def test_kl_of_two_copies_side_by_side_is_twice_the_kl_I1(make):
    p, q = make(), make()

    def twice(a):
        if isinstance(a, FullGaussian):
            return FullGaussian(torch.cat([a.mean, a.mean]), torch.block_diag(a.cov, a.cov))
        return type(a)(*(torch.cat([v, v]) for v in vars(a).values() if isinstance(v, torch.Tensor)))

    torch.testing.assert_close(twice(p).kl(twice(q)), 2 * p.kl(q), rtol=1e-10, atol=1e-10)


@ALL
def test_one_row_at_a_time_gives_the_same_as_a_batch(make):
    p = make()
    x = _reference(p).sample((N,))
    rows = torch.cat([p.log_prob(x[i : i + 1]) for i in range(N)])
    torch.testing.assert_close(p.log_prob(x), rows, rtol=1e-12, atol=1e-12)


# --- the equations as printed (I60) -----------------------------------------------------------------------------------


def test_equations_of_the_densities_as_printed_I60():
    x = torch.randn(N, D, dtype=F64)
    p = _diagonal()
    mu, var = p.mean, p.var
    gaussian = -0.5 * ((x - mu) ** 2 / var + torch.log(2 * math.pi * var)).sum(1)  # eq-dist-gaussian
    torch.testing.assert_close(p.log_prob(x), gaussian, rtol=1e-10, atol=1e-10)
    f = _full()
    r = x - f.mean
    full = -0.5 * (  # eq-dist-full-gaussian
        torch.einsum("ni,ij,nj->n", r, f.cov.inverse(), r) + torch.logdet(f.cov) + D * math.log(2 * math.pi)
    )
    torch.testing.assert_close(f.log_prob(x), full, rtol=1e-9, atol=1e-9)
    b, coins = _bernoulli(), (x > 0).to(F64)
    bernoulli = (coins * b.logits - torch.log(1 + b.logits.exp())).sum(1)  # eq-dist-bernoulli
    torch.testing.assert_close(b.log_prob(coins), bernoulli, rtol=1e-10, atol=1e-10)
    c, dice = _categorical(), torch.randint(C, (N, D))
    chosen = c.logits[torch.arange(D), dice]
    categorical = (chosen - c.logits.exp().sum(1).log()).sum(1)  # eq-dist-categorical
    torch.testing.assert_close(c.log_prob(dice), categorical, rtol=1e-10, atol=1e-10)


def test_equations_of_kl_and_entropy_as_printed_I60():
    p, q = _diagonal(), _diagonal()
    kl = (
        0.5 * (p.var / q.var + (p.mean - q.mean) ** 2 / q.var - 1 + torch.log(q.var / p.var)).sum()
    )  # eq-dist-kl-gaussian
    torch.testing.assert_close(p.kl(q), kl, rtol=1e-10, atol=1e-10)
    one, other = _diagonal(d=1), _diagonal(d=1)
    x = torch.linspace(-40, 40, 400_001, dtype=F64)[:, None]
    log_p, log_q = one.log_prob(x), other.log_prob(x)
    dx = (x[1] - x[0]).squeeze()
    torch.testing.assert_close(
        one.entropy(), -(log_p.exp() * log_p).sum() * dx, rtol=1e-8, atol=1e-8
    )  # eq-dist-entropy
    torch.testing.assert_close(
        one.kl(other), (log_p.exp() * (log_p - log_q)).sum() * dx, rtol=1e-8, atol=1e-8
    )  # eq-dist-kl


def test_densities_integrate_to_one_I56():
    p = FullGaussian(torch.tensor([0.3, -0.2], dtype=F64), torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=F64))
    axis = torch.linspace(-6, 6, 601, dtype=F64)
    total = p.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    torch.testing.assert_close(total, torch.ones((), dtype=F64), rtol=1e-8, atol=1e-8)


# --- maximum likelihood -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [_diagonal, _full, _bernoulli])
def test_no_small_change_of_the_fit_raises_the_likelihood(make):
    x = make().sample(400, torch.Generator().manual_seed(1))
    best = type(make()).fit(x, floor=1e-6)
    fields = {k: v for k, v in vars(best).items() if k in ("mean", "var", "cov", "logits")}
    top = best.log_prob(x).mean()
    for name, value in fields.items():
        for step in (-1e-2, 1e-2):
            nudge = step * torch.eye(len(value), dtype=F64) if name == "cov" else step
            assert type(best)(**(fields | {name: value + nudge})).log_prob(x).mean() < top


def test_fit_is_the_mean_and_the_variance_of_the_data():
    x = torch.randn(50, D, dtype=F64)
    p, f = DiagonalGaussian.fit(x), FullGaussian.fit(x)
    torch.testing.assert_close(p.mean, x.mean(0))
    torch.testing.assert_close(p.var, x.var(0, correction=0))
    torch.testing.assert_close(f.cov, torch.cov(x.T, correction=0))
    coins = (x > 0.5).to(F64)
    torch.testing.assert_close(Bernoulli.fit(coins).logits.sigmoid(), coins.mean(0))
    dice = torch.randint(C, (500, D))
    shares = torch.nn.functional.one_hot(dice, C).float().mean(0)
    torch.testing.assert_close(Categorical.fit(dice, C, pseudo_count=0).logits.softmax(1), shares)


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian, Bernoulli])
def test_a_weight_of_two_counts_as_two_copies(kind):
    x = (torch.randn(40, D, dtype=F64) > 0).to(F64) if kind is Bernoulli else torch.randn(40, D, dtype=F64)
    weights = torch.ones(40, dtype=F64)
    weights[:10], weights[-5:] = 2, 0
    once, copied = kind.fit(x, weights), kind.fit(torch.cat([x[:10], x[:-5]]))
    probe = x[:N]
    torch.testing.assert_close(once.log_prob(probe), copied.log_prob(probe))


def test_floor_is_the_best_covariance_that_obeys_it():
    x = torch.randn(6, D, dtype=F64)  # fewer examples than dimensions: without a floor there is no maximum
    p = FullGaussian.fit(x, floor=0.3)
    assert torch.linalg.eigvalsh(p.cov).min() > 0.3 - 1e-9
    for _ in range(20):  # any other covariance that obeys the floor is worse
        a = 0.3 * torch.randn(D, D, dtype=F64)
        values, vectors = torch.linalg.eigh(p.cov + a @ a.T)
        other = FullGaussian(p.mean, (vectors * values.clamp(min=0.3)) @ vectors.T)
        assert other.log_prob(x).mean() < p.log_prob(x).mean()


def test_categorical_with_pseudo_counts_gives_every_level_a_chance():
    x = torch.zeros(10, 2, dtype=torch.long)
    p = Categorical.fit(x, 4, pseudo_count=0.5)
    torch.testing.assert_close(p.logits.softmax(1)[0], torch.tensor([10.5, 0.5, 0.5, 0.5]) / 12)


# --- samples and Monte Carlo ------------------------------------------------------------------------------------------


@ALL
def test_samples_have_the_moments_and_follow_the_generator(make):
    p = make()
    x = p.sample(20_000, torch.Generator().manual_seed(3))
    assert torch.equal(x, p.sample(20_000, torch.Generator().manual_seed(3)))
    reference = _reference(p).sample((20_000,)).to(F64)
    spread = reference.std(0)
    assert ((x.to(F64).mean(0) - reference.mean(0)).abs() < 0.06 * spread + 0.003).all()
    assert ((x.to(F64).std(0) - spread).abs() < 0.05 * spread + 0.01).all()
    entropy = monte_carlo(-p.log_prob(x))
    assert abs(entropy.value - p.entropy()) < 4 * entropy.error


# --- numbers at the edge ----------------------------------------------------------------------------------------------


def test_bernoulli_of_extreme_logits_is_finite():
    p = Bernoulli(torch.tensor([800.0, -800.0]))
    assert p.log_prob(torch.tensor([[1.0, 0.0]])).item() == 0.0
    assert p.log_prob(torch.tensor([[0.0, 0.0]])).item() == -800.0
    assert p.entropy().isfinite()
    assert p.kl(Bernoulli(torch.zeros(2))).item() == pytest.approx(2 * math.log(2))


def test_categorical_does_not_notice_a_constant_added_to_the_logits():
    p = _categorical()
    x = torch.randint(C, (N, D))
    torch.testing.assert_close(Categorical(p.logits + 1e3).log_prob(x), p.log_prob(x), rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(-5, 5), st.floats(0.05, 9), st.floats(-5, 5), st.floats(0.05, 9))
def test_kl_is_never_below_zero(m, v, n, w):
    p, q = (DiagonalGaussian(torch.tensor([a], dtype=F64), torch.tensor([b], dtype=F64)) for a, b in ((m, v), (n, w)))
    assert p.kl(q) >= -1e-12


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian, Bernoulli])
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(0, D), "x"),
        (torch.zeros(D), "x"),
        (torch.full((N, D), torch.nan), "NaN"),
        (torch.zeros(N, D, dtype=torch.long), "float"),
        ([1.0], "list"),
    ],
)
def test_fit_rejects(kind, x, words):
    with rejects(words):
        kind.fit(x)


def test_the_rest_of_bad_input_is_one_clear_error_each():
    p, f, b, c = _diagonal(), _full(), _bernoulli(), _categorical()
    one, generator = torch.ones(D, dtype=F64), torch.Generator()
    with rejects("var"):
        DiagonalGaussian(one, 0 * one)
    with rejects("var"):
        DiagonalGaussian(one, one[:-1])
    with rejects("positive definite"):
        FullGaussian(one, -torch.eye(D, dtype=F64))
    with rejects("symmetric"):
        FullGaussian(one, torch.eye(D, dtype=F64) + torch.triu(torch.ones(D, D, dtype=F64), 1))
    for model in (p, f, b):
        with rejects("d = "):
            model.log_prob(torch.zeros(N, 1, dtype=F64))  # would broadcast
        with rejects("NaN|0 and 1"):
            model.log_prob(torch.full((N, D), torch.nan, dtype=F64))
    with rejects("0 and 1"):
        b.log_prob(torch.full((N, D), 0.5, dtype=F64))
    with rejects("0 and 1"):
        Bernoulli.fit(torch.full((N, D), 0.5, dtype=F64))
    with rejects("x: got values"):
        c.log_prob(torch.full((N, D), C))
    with rejects("integer"):
        c.log_prob(torch.zeros(N, D))
    with rejects("never seen"):
        Categorical.fit(torch.zeros(N, D, dtype=torch.long), C, pseudo_count=0)
    for model in (p, f, b, c):
        with rejects("n: got"):
            model.sample(0, generator)
        with rejects("kind"):
            model.kl(p if model is not p else f)
    with rejects("sizes"):
        p.kl(_diagonal(d=2))
    with rejects("floor"):
        DiagonalGaussian.fit(torch.zeros(N, D), floor=0.0)
    with rejects("weights"):
        DiagonalGaussian.fit(torch.zeros(N, D), -torch.ones(N))
    with rejects("number of values"):
        monte_carlo(torch.zeros(1))
    with rejects("n: got"):
        kl_monte_carlo(p, p, 1, generator)
