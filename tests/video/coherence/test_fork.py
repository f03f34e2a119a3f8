"""Films at a fork: one future where the light tells, two where it does not, and nothing else between the two sets."""

import pytest
import torch

from companion.data.moving_digits import film_maker
from companion.video.coherence.fork import LIGHT, fork_films
from companion.video.film_judge import centroids
from tests.conftest import gen, rejects

N = 400


@pytest.fixture(scope="module")
def maker():
    return film_maker("valid", size=8, limit=200)


@pytest.fixture(scope="module", params=[True, False])
def told(request):
    return request.param


def goes_right(films: torch.Tensor) -> torch.Tensor:
    path = centroids(films[..., LIGHT:, :])
    return path[:, -1, 1] > path[:, 0, 1]


def is_bright(films: torch.Tensor) -> torch.Tensor:
    return films[:, 0, 0, 0, 0] > 0


def test_the_given_frames_stand_and_are_shared_by_both_futures(maker, told):
    films, others = fork_films(maker, 50, gen(), told=told)
    assert films.shape == others.shape == (50, 1, 8, 10, 16)
    assert torch.equal(films[:, :, :4], others[:, :, :4]) and torch.equal(films[:, :, 0], films[:, :, 3])
    assert torch.equal(goes_right(films), ~goes_right(others))


def test_after_them_the_digit_moves_one_pixel_a_frame_and_loses_no_ink(maker, told):
    digits = fork_films(maker, 50, gen(), told=told).films[..., LIGHT:, :]
    step = torch.where(goes_right(digits), 1.0, -1.0)[:, None].expand(-1, 4)
    moved = centroids(digits)[:, 3:].diff(dim=1)
    torch.testing.assert_close(moved[..., 1], step, rtol=0, atol=1e-4)
    torch.testing.assert_close(moved[..., 0], torch.zeros_like(step), rtol=0, atol=1e-4)
    ink = (digits + 1).sum((-1, -2))
    torch.testing.assert_close(ink, ink[..., :1].expand_as(ink))


def test_the_light_tells_the_way_or_nothing(maker):
    films = fork_films(maker, N, gen(), told=True).films
    assert torch.equal(is_bright(films), goes_right(films))
    films = fork_films(maker, N, gen(), told=False).films
    agree = (is_bright(films) == goes_right(films)).float().mean()
    assert abs(agree - 0.5) < 4 * 0.5 / N**0.5
    assert abs(is_bright(films).float().mean() - 0.5) < 4 * 0.5 / N**0.5


def test_the_two_sets_differ_in_their_lights_alone(maker):
    told, coin = (fork_films(maker, N, gen(), told=told).films for told in (True, False))
    assert torch.equal(told[..., LIGHT:, :], coin[..., LIGHT:, :])
    assert not torch.equal(told[..., :LIGHT, :], coin[..., :LIGHT, :])


def test_the_mean_of_both_futures_has_half_the_error_of_either(maker):
    """eq-coherence-fork, on a forecast that is none of the three as well."""
    films, others = fork_films(maker, 20, gen(), told=False)
    mean, least = (films + others) / 2, ((films - others) / 2).square().sum()
    for forecast in (mean, films, torch.rand(films.shape, generator=gen(1))):
        error = ((forecast - films).square().sum() + (forecast - others).square().sum()) / 2
        torch.testing.assert_close(error, (forecast - mean).square().sum() + least)


def test_small_digits_have_no_room():
    with rejects("size of the digits"):
        fork_films(film_maker("valid", size=7, limit=5), 2, gen(), told=True)
