"""Flow matching: exact velocities of Gaussians and mixtures, the solvers' orders, and the direction of time."""

import math

import torch

from companion.data.points import ring
from companion.diffusion.flow_matching import (
    euler,
    flow_matching_loss,
    gaussian_velocity,
    heun,
    on_path,
    velocity_from_score,
)
from companion.metrics.modes import mode_report
from companion.nn.point_mlp import TimedPointMLP
from companion.training import TrainConfig, train
from tests.conftest import rejects

MEAN, SD = torch.tensor([1.5, -0.5], dtype=torch.float64), 0.4


def exact(x, t):
    return gaussian_velocity(x, t, MEAN, SD)


def test_loss_as_printed_I60():
    """eq-fm-path and eq-fm-loss, number by number in float64."""
    x = torch.randn(3, 2, dtype=torch.float64)
    got = flow_matching_loss(exact, x, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    z = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    t = torch.rand(3, dtype=torch.float64, generator=generator)
    total = 0.0
    for i in range(3):
        x_t = (1 - t[i]) * z[i] + t[i] * x[i]
        slope = (t[i] * SD**2 - (1 - t[i])) / ((1 - t[i]) ** 2 + t[i] ** 2 * SD**2)
        v = MEAN + slope * (x_t - t[i] * MEAN)
        total += float(((v - (x[i] - z[i])) ** 2).sum())
    assert math.isclose(float(got), total / 3, rel_tol=1e-12)


def test_time_runs_from_noise_to_data():
    z, x = torch.randn(4, 2, 3), torch.randn(4, 2, 3)
    assert torch.equal(on_path(z, x, torch.zeros(4)), z) and torch.equal(on_path(z, x, torch.ones(4)), x)
    mixed = on_path(z, x, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert torch.equal(mixed[0], z[0]) and torch.equal(mixed[1], x[1])  # each row has its own time


def test_gaussian_velocity_is_the_mean_direction_at_a_point():
    """E[x - z | x_t] by regression on x_t: for Gaussians the mean is linear, so least squares finds it."""
    n, t = 400_000, 0.3
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, 2, dtype=torch.float64, generator=generator)
    x = MEAN + SD * torch.randn(n, 2, dtype=torch.float64, generator=generator)
    x_t = (1 - t) * z + t * x
    design = torch.cat([torch.ones(n, 1, dtype=torch.float64), x_t], 1)
    weights = torch.linalg.lstsq(design, x - z).solution
    points = torch.randn(5, 2, dtype=torch.float64)
    fitted = torch.cat([torch.ones(5, 1, dtype=torch.float64), points], 1) @ weights
    assert torch.allclose(fitted, exact(points, torch.full((5,), t, dtype=torch.float64)), atol=0.02)


def test_velocity_and_score_are_one_field():
    """eq-velocity-score: from the score of p_t = N(t m, ((1-t)² + t² s²) I) to the closed form of the velocity."""
    x, t = torch.randn(6, 2, dtype=torch.float64), torch.linspace(0.1, 1, 6, dtype=torch.float64)
    variance = ((1 - t) ** 2 + (t * SD) ** 2)[:, None]
    score = (t[:, None] * MEAN - x) / variance
    assert torch.allclose(velocity_from_score(x, t, score), exact(x, t), atol=1e-12)


def test_the_flow_carries_z_to_mean_plus_sd_z():
    z = torch.randn(50, 2, dtype=torch.float64)
    assert torch.allclose(heun(exact, z, 2_000), MEAN + SD * z, atol=1e-6)
    assert torch.allclose(euler(exact, z, 4_000), MEAN + SD * z, atol=2e-3)


def test_orders_of_the_solvers():
    """Twice the steps: Euler's error halves, Heun's falls to a quarter."""
    z = torch.randn(50, 2, dtype=torch.float64)
    for solver, order in ((euler, 1), (heun, 2)):
        errors = [float((solver(exact, z, n) - MEAN - SD * z).abs().max()) for n in (200, 400)]
        assert abs(math.log2(errors[0] / errors[1]) - order) < 0.1


def test_straight_paths_need_one_step():
    """Where every point moves with a constant velocity of its own (the paths after one reflow), Euler is exact at once."""
    z = torch.randn(50, 2, dtype=torch.float64)

    def straight(x, t):
        start = (x - t[:, None] * MEAN) / (1 + t[:, None] * (SD - 1))  # x = z + t (MEAN + (SD - 1) z)
        return MEAN + (SD - 1) * start

    assert torch.allclose(euler(straight, z, 1), MEAN + SD * z, atol=1e-12)
    assert (euler(exact, z, 1) - MEAN - SD * z).abs().max() > 0.1


def test_one_euler_step_of_the_exact_field_lands_on_the_mean_of_the_data():
    z = torch.randn(50, 2, dtype=torch.float64)
    assert torch.allclose(euler(exact, z, 1), MEAN.expand(50, 2), atol=1e-12)


def test_solvers_ask_for_times_from_0_to_1_only():
    for solver, last in ((euler, 0.75), (heun, 1.0)):
        asked = []
        solver(lambda x, t: asked.append(float(t[0])) or torch.zeros_like(x), torch.zeros(2, 2), 4)  # noqa: B023
        assert min(asked) == 0 and max(asked) == last


def test_exact_velocity_of_the_ring_makes_the_ring():
    law = ring().mixture

    def velocity(x, t):
        if float(t[0]) == 0:  # p_0 is the noise; the limit of the formula is the mean of the data minus x
            return -x
        at_t = law.scaled(float(t[0])).smoothed(1 - float(t[0]))
        return velocity_from_score(x, t, at_t.score(x))

    z = torch.randn(2_000, 2, generator=torch.Generator().manual_seed(0))
    report = mode_report(heun(velocity, z, 200), law.means, law.sd)
    assert report.found == 8 and report.high_quality > 0.95


def test_learns_to_move_noise_to_a_gaussian():
    """Against the identity and against one Euler step (the mean): both get the width wrong."""
    data = ring(modes=1, radius=1.0, sd=0.5)
    torch.manual_seed(0)
    config = TrainConfig(400, 64, lr=5e-3, weight_decay=0.0, ema=0.98)
    loss = lambda model, batch, generator: flow_matching_loss(model, batch[0], generator)  # noqa: E731
    model = train(TimedPointMLP(2, 2, width=32), loss, data.draw, config).model
    z = torch.randn(4_000, 2, generator=torch.Generator().manual_seed(0))
    many, one = euler(model, z, 30), euler(model, z, 1)
    assert (many.mean(0) - data.mixture.means[0]).abs().max() < 0.1
    assert (many.std(0) - 0.5).abs().max() < 0.08
    assert (one.std(0) - 0.5).abs().min() > 0.2 and (z.std(0) - 0.5).abs().min() > 0.4


def test_bad_input():
    x, t, generator = torch.zeros(3, 2), torch.zeros(3), torch.Generator()
    for call, pattern in [
        (lambda: on_path(x, x[:1], t), "z, x, t: got shapes"),
        (lambda: on_path(x, x, t[:1]), "z, x, t: got shapes"),
        (lambda: flow_matching_loss(exact, x[:0], generator), "x: got shape"),
        (lambda: flow_matching_loss(lambda x, t: x[:, :1], x, generator), "velocity: got an output of shape"),
        (lambda: euler(exact, x, 0), "steps: got 0"),
        (lambda: heun(exact, x, -1), "steps: got -1"),
        (lambda: euler(exact, x * float("nan"), 3), "z: got 6 values"),
        (lambda: velocity_from_score(x, t, x), "t: got 0"),
        (lambda: velocity_from_score(x, t + 1, x[:, :1]), "score: got shape"),
        (lambda: gaussian_velocity(x, t, torch.zeros(3), 1.0), "mean: got shape"),
        (lambda: gaussian_velocity(x, t, torch.zeros(2), 0.0), "sd: got 0.0"),
    ]:
        with rejects(pattern):
            call()
