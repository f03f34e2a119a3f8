"""Forecasts without training: exact where nothing hits a wall, wrong where something does."""

import torch

from companion.data.moving_digits import film_maker
from companion.video.coherence.baselines import constant_velocity, copy_last
from companion.video.film_judge import centroids
from tests.conftest import rejects
from tests.video.test_measures import straight


def test_constant_velocity_is_exact_until_a_wall():
    films = straight(frames=6)
    forecast = constant_velocity(films[:, :, :3], 3)
    torch.testing.assert_close(forecast, films[:, :, 3:], rtol=0, atol=1e-4)


def test_at_walls_it_is_wrong():
    films = film_maker("valid").draw(200, torch.Generator().manual_seed(0))
    errors = (constant_velocity(films.films[:, :, :4], 4) - films.films[:, :, 4:]).square().mean((1, 2, 3, 4))
    hit = films.bounces[:, 3:7].any(1)
    assert hit.any() and errors[hit].mean() > 10 * errors[~hit].mean()


def test_copying_stands_still():
    films = straight()
    assert torch.equal(copy_last(films, 3), films[:, :, -1:].expand(-1, -1, 3, -1, -1))
    assert centroids(copy_last(films, 3)).diff(dim=1).abs().max() == 0


def test_what_a_caller_can_get_wrong():
    with rejects("given: got 1"):
        constant_velocity(straight()[:, :, :1], 2)
