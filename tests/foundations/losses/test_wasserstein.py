"""The Wasserstein distance against scipy and closed forms, and the gradient penalty's known mistakes."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import nn

from companion.foundations.losses.wasserstein import (
    WassersteinCritic,
    between,
    critic_gap,
    gradient_penalty,
    wasserstein_1d,
    wasserstein_loss,
)
from tests.conftest import rejects


def linear_critic(*shape: int, norm: float = 1.0) -> nn.Module:
    layer = nn.Linear(math.prod(shape), 1).double()
    with torch.no_grad():
        layer.weight.mul_(norm / layer.weight.norm())
    return nn.Sequential(nn.Flatten(), layer)


numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None)
@given(numbers, numbers)
def test_distance_in_one_dimension_equals_scipy(x, y):
    got = wasserstein_1d(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    assert math.isclose(float(got), wasserstein_distance(x, y), rel_tol=1e-9, abs_tol=1e-9)


def test_equal_sizes_pair_the_sorted_samples():
    x, y = torch.randn(50, dtype=torch.float64), 3 + torch.randn(50, dtype=torch.float64)
    want = (x.sort().values - y.sort().values).abs().mean()
    assert torch.allclose(wasserstein_1d(x, y), want, atol=1e-12)


def test_a_shift_costs_its_length():
    x = torch.randn(40, dtype=torch.float64)
    assert torch.allclose(wasserstein_1d(x, x + 0.7), torch.tensor(0.7, dtype=torch.float64))
    assert wasserstein_1d(x, x.flip(0)) == 0


def test_critic_gap_of_two_gaussians_is_the_distance_of_their_means():
    """eq-wasserstein-dual: N(a, 1) and N(b, 1) lie |a - b| apart; f(x) = sign(a - b) x reaches it."""
    a, b, n = -0.4, 1.3, 4_001
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    gap = critic_gap(-(quantiles + a), -(quantiles + b))
    assert torch.allclose(gap, torch.tensor(abs(a - b), dtype=torch.float64), atol=1e-9)
    assert torch.allclose(gap, wasserstein_1d(quantiles + a, quantiles + b), atol=1e-9)
    # No other function of slope at most 1 that we try has a larger gap.
    for f in (torch.sin, torch.tanh, lambda x: x.abs(), lambda x: 0.9 * x):
        assert critic_gap(f(quantiles + a), f(quantiles + b)).abs() <= gap


def test_linear_critic_of_unit_norm_has_penalty_zero_I13():
    """One value a sample, the norm over every axis: a norm over channels alone would be below 1."""
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    penalty = gradient_penalty(linear_critic(2, 3, 4), x)
    assert penalty.shape == (5,) and penalty.abs().max() < 1e-24
    doubled = gradient_penalty(linear_critic(2, 3, 4, norm=2.0), x)
    assert torch.allclose(doubled, torch.ones(5, dtype=torch.float64))


def test_axis_aligned_critic_has_penalty_exactly_zero_I13():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0]]))
    assert gradient_penalty(layer, torch.randn(4, 2)).eq(0).all()


def test_epsilon_is_drawn_once_a_sample_I12(monkeypatch):
    asked = []
    true_rand = torch.rand

    def patched(*size, **options):
        asked.append(size)
        return true_rand(*size, **options)

    monkeypatch.setattr(torch, "rand", patched)
    between(torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4), torch.Generator())
    assert asked == [((5, 1, 1, 1),)]


def test_epsilon_is_uniform_between_0_and_1_I14():
    points = between(torch.ones(10_000, 2), torch.zeros(10_000, 2), torch.Generator().manual_seed(0))
    assert torch.equal(points[:, 0], points[:, 1])  # on the segment, not in the box around it
    assert 0 <= points.min() and points.max() <= 1
    assert abs(float(points.mean()) - 0.5) < 0.01 and abs(float(points.var()) - 1 / 12) < 0.003


def test_penalty_and_its_gradient_are_finite_for_a_constant_critic_I14():
    critic = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    with torch.no_grad():
        critic[2].weight.zero_()
    penalty = gradient_penalty(critic, torch.randn(4, 2))
    assert torch.equal(penalty, torch.ones(4))
    penalty.mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in critic.parameters())
    assert critic[2].weight.grad is not None


def test_a_critic_that_ignores_its_input_has_penalty_one():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return self.value.expand(len(x), 1)

    assert torch.equal(gradient_penalty(Constant(), torch.randn(4, 2)), torch.ones(4))


def test_critic_loss_as_printed_I60():
    """eq-wasserstein-dual and eq-gradient-penalty, for f(x) = w·x in float64."""
    critic = linear_critic(3, norm=1.7)
    real, fake = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    w, c = critic[1].weight[0], critic[1].bias
    gap = (real @ w + c).mean() - (fake @ w + c).mean()
    got = WassersteinCritic(weight=4.0)(critic, real, fake, torch.Generator().manual_seed(0))
    assert torch.allclose(got, -gap + 4.0 * (1.7 - 1) ** 2, atol=1e-12)
    assert torch.allclose(wasserstein_loss(fake @ w), -(fake @ w).mean())


def test_a_trained_linear_critic_has_the_slope_of_its_closed_form():
    """Learning: for means W apart the best slope of a linear critic is 1 + W / 2λ, where λ (s - 1)² - W s is least."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    critic, weight, apart = nn.Linear(2, 1), 10.0, torch.tensor([3.0, 0.0])
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-2)
    for _ in range(400):
        real, fake = apart + torch.randn(256, 2, generator=generator), torch.randn(256, 2, generator=generator)
        optimizer.zero_grad()
        WassersteinCritic(weight)(critic, real, fake, generator).backward()
        optimizer.step()
    want = torch.tensor([1 + 3 / (2 * weight), 0.0])
    assert torch.allclose(critic.weight[0].detach(), want, atol=0.06)


def test_bad_input():
    x = torch.zeros(3)
    for call, pattern in [
        (lambda: critic_gap(x[:, None], x), "real_scores: got shape"),
        (lambda: wasserstein_loss(torch.zeros(0)), "fake_scores: got shape"),
        (lambda: between(torch.zeros(3, 2), torch.zeros(1, 2), torch.Generator()), "real, fake: got shapes"),
        (lambda: between(torch.zeros(0, 2), torch.zeros(0, 2), torch.Generator()), "real, fake: got shapes"),
        (lambda: wasserstein_1d(x, torch.zeros(0)), "y: got shape"),
        (lambda: wasserstein_1d(x, torch.full((2,), float("nan"))), "y: got 2 values"),
        (lambda: wasserstein_1d(x.long(), x), "x: got torch.int64"),
        (lambda: WassersteinCritic(weight=-1.0), "weight: got -1.0"),
    ]:
        with rejects(pattern):
            call()
