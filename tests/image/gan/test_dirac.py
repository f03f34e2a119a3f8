"""The run against its eigenvalues, against autograd through the real game, and what each of them says."""

import cmath

import pytest
import torch
from torch import nn

from companion.image.gan.dirac import eigenvalues, orbit, round_matrix
from companion.image.gan.game import Game, Players, Relativistic, Standard
from tests.conftest import rejects

SETTINGS = [(0.3, 0.0), (0.3, 0.2), (0.5, 1.0), (0.4, 1.7), (1.2, 0.6)]


@pytest.mark.parametrize("alternating", [True, False])
@pytest.mark.parametrize(("rate", "gamma"), SETTINGS)
def test_close_to_the_solution_a_run_is_the_matrix_power(rate: float, gamma: float, alternating: bool) -> None:
    path = orbit((3e-6, -2e-6), 40, rate, gamma, alternating=alternating)
    want = torch.linalg.matrix_power(round_matrix(rate, gamma, alternating=alternating), 40) @ path[0]
    assert path.shape == (41, 2)
    assert torch.allclose(path[-1], want, rtol=1e-8, atol=1e-20)


@pytest.mark.parametrize("alternating", [True, False])
@pytest.mark.parametrize(("rate", "gamma"), SETTINGS)
def test_the_closed_form_of_the_eigenvalues(rate: float, gamma: float, alternating: bool) -> None:
    found = sorted(eigenvalues(rate, gamma, alternating=alternating).tolist(), key=lambda v: (v.real, v.imag))
    solver = torch.linalg.eigvals(round_matrix(rate, gamma, alternating=alternating)).tolist()
    for a, b in zip(found, sorted(solver, key=lambda v: (v.real, v.imag)), strict=True):
        assert abs(a - b) < 1e-7


def test_the_one_with_the_larger_part_comes_first() -> None:
    turning, real = eigenvalues(0.4), eigenvalues(0.4, 1.7)
    assert turning[0].imag > 0 > turning[1].imag
    assert real[0].real > real[1].real and not real.imag.any()


def test_what_they_say_without_a_penalty() -> None:
    """At once: |lambda|² = 1 + h²/4, outwards. By turns: |lambda| = 1, a circle."""
    assert eigenvalues(0.4, alternating=False).abs().square().tolist() == pytest.approx([1.04, 1.04], abs=1e-12)
    assert eigenvalues(0.4).abs().tolist() == pytest.approx([1, 1], abs=1e-12)
    radius = orbit((0.01, 0.0), 2_000, 0.4).norm(dim=1)
    assert 0.007 < radius.min() and radius.max() < 0.013


def test_what_they_say_with_a_penalty() -> None:
    """|lambda| = sqrt(1 - h gamma) by turns; at once it takes gamma > h/4 to come inside the circle."""
    assert eigenvalues(0.4, 0.3).abs().tolist() == pytest.approx([0.88**0.5] * 2, abs=1e-12)
    for gamma, inwards in ((0.09, False), (0.11, True)):
        assert (eigenvalues(0.4, gamma, alternating=False).abs().max() < 1) == inwards
    assert orbit((1.0, 0.0), 300, 0.4, 0.3)[-1].norm() < 1e-6


@pytest.mark.parametrize("pairing", [Standard(), Relativistic()])
@pytest.mark.parametrize(("r1", "r2"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.1, 0.2)])
def test_the_players_of_the_lesson_play_the_same_game(pairing, r1: float, r2: float) -> None:
    """Autograd through `Game`, for both pairings and both penalties, which a line cannot tell apart."""

    class Point(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theta = nn.Parameter(torch.tensor([[0.7]], dtype=torch.float64))

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return self.theta.expand(len(z), 1)

    line = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(line.weight, -0.4)
    players, game = Players(Point(), line, 1), Game(pairing, r1, r2)
    real, z = torch.zeros(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    for _ in range(3):
        for part, player in ((game.critic, players.D), (game.generator, players.G)):
            players.zero_grad()
            part(players, real, z).backward()
            with torch.no_grad():
                for weight in player.parameters():
                    weight -= 0.5 * weight.grad
    want = orbit((0.7, -0.4), 3, 0.5, r1 + r2)[-1]
    assert torch.allclose(torch.stack([players.G.theta[0, 0], line.weight[0, 0]]), want, atol=1e-12)


def test_bad_input() -> None:
    with rejects("rate"):
        eigenvalues(0.0)
    with rejects("gamma"):
        orbit((1.0, 0.0), 3, 0.1, -1.0)
    assert cmath.isfinite(complex(eigenvalues(5.0, 3.0)[0]))
