"""Adversarial losses: closed forms of Goodfellow et al., who gets which gradient, and the loop that alternates."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from companion.data.points import ring
from companion.foundations.gan import (
    GANConfig,
    StandardCritic,
    critic_backward,
    discriminator_loss,
    generator_backward,
    input_gradient,
    jensen_shannon,
    minimax_loss,
    non_saturating_loss,
    optimal_discriminator,
    train_gan,
)
from companion.metrics.modes import mode_report
from companion.nn.point_mlp import PointMLP
from companion.training import TrainConfig, TrainingDiverged
from tests.conftest import rejects


def laws(n: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(n, generator=generator, dtype=torch.float64).softmax(0) for _ in range(2))


def pair() -> tuple[nn.Module, nn.Module, torch.Tensor, torch.Tensor, torch.Generator]:
    G, D = PointMLP(3, 2, width=8), PointMLP(2, 1, width=9)
    return G, D, torch.randn(6, 2), torch.randn(6, 3), torch.Generator().manual_seed(0)


def config(steps: int = 20, **changes) -> GANConfig:
    player = TrainConfig(steps, 16, weight_decay=0.0, betas=(0.0, 0.99), ema=0.9, **changes)
    return GANConfig(player, player)


def test_losses_as_printed_in_float64_I60():
    """eq-gan-value and eq-non-saturating: logarithms of probabilities, as on the page."""
    real, fake = torch.randn(5, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    D_real, D_fake = torch.sigmoid(real), torch.sigmoid(fake)
    V = D_real.log().mean() + (1 - D_fake).log().mean()
    assert torch.allclose(discriminator_loss(real, fake), -V, atol=1e-12)
    assert torch.allclose(minimax_loss(fake), (1 - D_fake).log().mean(), atol=1e-12)
    assert torch.allclose(non_saturating_loss(fake), -D_fake.log().mean(), atol=1e-12)


def test_losses_equal_binary_cross_entropy_with_logits():
    real, fake = torch.randn(5), torch.randn(8)
    bce = F.binary_cross_entropy_with_logits
    want = bce(real, torch.ones(5)) + bce(fake, torch.zeros(8))
    assert torch.allclose(discriminator_loss(real, fake), want, atol=1e-6)
    assert torch.allclose(non_saturating_loss(fake), bce(fake, torch.ones(8)), atol=1e-6)


def test_optimal_discriminator_is_where_the_value_has_no_slope():
    """eq-optimal-discriminator: at D* the derivative of V is 0 for every x, and every other D has a lower V."""
    p, q = laws()
    D = optimal_discriminator(p.log(), q.log())
    assert torch.allclose(D, p / (p + q), atol=1e-12)
    D = D.requires_grad_()
    value = (p * D.log() + q * (1 - D).log()).sum()
    assert torch.autograd.grad(value, D)[0].abs().max() < 1e-12
    other = (D.detach() + 0.05 * torch.randn(7, dtype=torch.float64)).clamp(0.01, 0.99)
    assert (p * other.log() + q * (1 - other).log()).sum() < value


def test_value_at_the_optimum_is_minus_log_4_plus_twice_the_divergence():
    """eq-gan-jsd."""
    p, q = laws()
    D = optimal_discriminator(p.log(), q.log())
    value = (p * D.log() + q * (1 - D).log()).sum()
    assert torch.allclose(value, -math.log(4) + 2 * jensen_shannon(p, q), atol=1e-12)


def test_jensen_shannon_is_bounded_symmetric_and_log_2_for_disjoint_laws():
    p, q = laws()
    assert torch.allclose(jensen_shannon(p, q), jensen_shannon(q, p)) and 0 < jensen_shannon(p, q) < math.log(2)
    assert jensen_shannon(p, p) == 0
    apart = jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert torch.allclose(apart, torch.tensor(math.log(2)))


def test_when_D_wins_only_the_non_saturating_loss_has_a_gradient():
    """dL/da is -D for the minimax loss and D - 1 for the other, at a logit of -10."""
    a = torch.full((1,), -10.0, dtype=torch.float64, requires_grad=True)
    D = torch.sigmoid(a.detach())
    (saturating,) = torch.autograd.grad(minimax_loss(a), a)
    (strong,) = torch.autograd.grad(non_saturating_loss(a), a)
    assert torch.allclose(saturating, -D) and torch.allclose(strong, D - 1)
    assert saturating.abs() < 5e-5 and strong.abs() > 0.9999


def test_losses_are_finite_for_a_very_sure_discriminator_I32():
    a = torch.tensor([-500.0, 500.0], requires_grad=True)
    for loss in (discriminator_loss(a, a), minimax_loss(a), non_saturating_loss(a)):
        (gradient,) = torch.autograd.grad(loss, a, retain_graph=True)
        assert loss.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("loss", [minimax_loss, non_saturating_loss])
def test_every_parameter_of_G_learns_in_its_step_I9(loss):
    G, D, _, z, _ = pair()
    generator_backward(G, D, z, loss)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in G.parameters())
    assert all(p.grad is None and p.requires_grad for p in D.parameters())


def test_the_step_of_D_leaves_G_alone_I10():
    G, D, real, z, generator = pair()
    before = [p.clone() for p in G.parameters()]
    critic_backward(G, D, real, z, StandardCritic(gamma=0.5), generator)
    assert all(p.grad is None for p in G.parameters())
    assert all(torch.equal(p, q) for p, q in zip(G.parameters(), before, strict=True))
    # A constant added to all scores changes V, but R1 sees slopes alone: every weight has a gradient.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in D.parameters())


def test_two_identical_steps_of_D_give_identical_gradients_I11():
    G, D, real, z, generator = pair()
    generator_backward(G, D, z, non_saturating_loss)
    gradients = []
    for _ in range(2):
        critic_backward(G, D, real, z, StandardCritic(), generator)
        gradients.append([p.grad.clone() for p in D.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_r1_is_the_squared_slope_at_real_points():
    """eq-r1: for a linear D it is γ/2 ‖w‖², whatever the points; over every axis but the first (I13)."""
    D = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4, 1))
    x, fake = torch.randn(5, 2, 3, 4), torch.randn(5, 2, 3, 4)
    squared = D[1].weight.square().sum()
    assert torch.allclose(input_gradient(D, x), D[1].weight.expand(5, -1), atol=1e-6)
    plain, penalised = (StandardCritic(g)(D, x, fake, torch.Generator()) for g in (0.0, 0.6))
    assert torch.allclose(penalised - plain, 0.6 / 2 * squared, atol=1e-5)


def test_r1_asks_the_real_points_alone():
    """For the score ‖x‖² / 2 the slope at x is x itself, so the penalty is γ/2 E ‖x‖² of the real points (eq-r1)."""
    real, fake = torch.randn(5, 2, 3), 9 + torch.randn(5, 2, 3)

    class Bowl(nn.Module):
        def forward(self, x):
            return x.flatten(1).square().sum(1, keepdim=True) / 2

    plain, penalised = (StandardCritic(g)(Bowl(), real, fake, torch.Generator()) for g in (0.0, 0.6))
    wanted = 0.6 / 2 * real.flatten(1).square().sum(1).mean()
    torch.testing.assert_close(penalised - plain, wanted, rtol=0, atol=1e-3)


def test_a_trained_discriminator_finds_the_density_ratio():
    """Against always guessing 1/2: a logit of x² features reaches log p - log q of two Gaussians."""
    generator = torch.Generator().manual_seed(0)
    p, q = torch.distributions.Normal(0.5, 1.0), torch.distributions.Normal(-0.5, 1.0)
    D = nn.Linear(1, 1)
    optimizer = torch.optim.LBFGS(D.parameters(), max_iter=50)
    real, fake = (torch.randn(20_000, 1, generator=generator) + m for m in (0.5, -0.5))

    def closure():
        optimizer.zero_grad()
        loss = discriminator_loss(D(real)[:, 0], D(fake)[:, 0])
        loss.backward()
        return loss

    optimizer.step(closure)
    x = torch.linspace(-2, 2, 9)
    got = torch.sigmoid(D(x[:, None]))[:, 0]
    want = optimal_discriminator(p.log_prob(x), q.log_prob(x))
    assert (got - want).abs().max() < 0.01 and (0.5 - want).abs().max() > 0.35


def test_G_is_the_averaged_model_and_the_run_repeats_I55():
    data, results = ring(), []
    for _ in range(2):
        torch.manual_seed(0)
        G, D = PointMLP(2, 2, width=8), PointMLP(2, 1, width=8)
        results.append(train_gan(G, D, data.draw, StandardCritic(), non_saturating_loss, config()))
        assert results[-1].G is not G and not results[-1].G.training
        assert not torch.equal(results[-1].G.layers[0].weight, G.layers[0].weight)
    a, b = results
    assert all(torch.equal(x, y) for x, y in zip(a.G.parameters(), b.G.parameters(), strict=True))
    assert a.history.critic_loss == b.history.critic_loss and len(a.history.generator_loss) == 20


def test_D_takes_its_steps_before_each_of_G():
    calls = []

    def critic_loss(D, real, fake, generator):
        calls.append("D")
        return StandardCritic()(D, real, fake, generator)

    def generator_loss(scores):
        calls.append("G")
        return non_saturating_loss(scores)

    settings = GANConfig(TrainConfig(2, 4), TrainConfig(6, 4), critic_steps=3)
    G, D = PointMLP(2, 2, width=4), PointMLP(2, 1, width=4)
    seen = []
    train_gan(G, D, ring().draw, critic_loss, generator_loss, settings,
              evaluate=lambda model: seen.append(model.training) or {"x": 1.0}, evaluate_every=1)  # fmt: skip
    assert calls == ["D", "D", "D", "G"] * 2 and seen == [False, False]


def test_a_single_gaussian_is_learned():
    """From N(0, I) to a ring of one mode at (2, 0): the untrained generator puts nothing there."""
    data = ring(modes=1, sd=0.3)
    torch.manual_seed(0)
    G, D = PointMLP(2, 2, width=32), PointMLP(2, 1, width=32)
    player = TrainConfig(300, 64, lr=3e-3, weight_decay=0.0, betas=(0.0, 0.99), ema=0.98)
    z = torch.randn(500, 2)
    result = train_gan(G, D, data.draw, StandardCritic(0.1), non_saturating_loss, GANConfig(player, player))
    with torch.no_grad():
        x = result.G(z)
    assert mode_report(x, data.mixture.means, 0.3).high_quality > 0.6


def test_a_loss_that_is_not_finite_stops_the_run():
    G, D = PointMLP(2, 2, width=4), PointMLP(2, 1, width=4)
    with rejects("round 0 of 20|norm is nan at step 0", TrainingDiverged):
        train_gan(G, D, ring().draw, StandardCritic(), lambda scores: scores.mean() * float("nan"), config())


def test_bad_input():
    empty, x = torch.zeros(0), torch.zeros(3)
    G, D, real, z, generator = pair()
    for call, pattern in [
        (lambda: discriminator_loss(empty, x), "real_logits: got shape"),
        (lambda: discriminator_loss(x[:, None], x), "real_logits: got shape"),
        (lambda: minimax_loss(x[:, None]), "fake_logits: got shape"),
        (lambda: non_saturating_loss(empty), "fake_logits: got shape"),
        (lambda: optimal_discriminator(x, torch.zeros(2)), "log_q: got shape"),
        (lambda: jensen_shannon(x, x), "p: got values that sum to 0"),
        (lambda: jensen_shannon(torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.5])), "p: got values"),
        (lambda: jensen_shannon(torch.full((2,), float("nan")), torch.tensor([0.5, 0.5])), "p: got 2 values"),
        (lambda: StandardCritic(gamma=-1.0), "gamma: got -1.0"),
        (lambda: generator_backward(G, PointMLP(2, 3, width=4), z, minimax_loss), "scores: got shape"),
        (lambda: GANConfig(TrainConfig(5), TrainConfig(5), critic_steps=2), "critic.steps: got 5"),
        (lambda: GANConfig(TrainConfig(5), TrainConfig(5), latent=0), "latent: got 0"),
    ]:
        with rejects(pattern):
            call()


def test_a_sample_is_the_same_alone_and_in_a_batch_I15():
    """The trained generator is in evaluation mode, so batch norm uses what it has learned, not its neighbours."""
    G = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    trained = train_gan(G, PointMLP(2, 1, width=9), ring().draw, StandardCritic(), non_saturating_loss, config(5)).G
    z = torch.randn(6, 2)
    torch.testing.assert_close(trained(z[:1]), trained(z)[:1], rtol=0, atol=1e-6)
