"""Measures of coherence: what they say of films whose motion is known."""

import torch

from companion.data.moving_digits import moving_digits
from companion.video.measures import flicker, identity, jerk, shift
from tests.conftest import rejects


def straight(n=40, frames=4):
    """Films that meet no wall."""
    films = moving_digits("valid", 4 * n, frames=frames, height=20, width=20)
    free = ~films.bounces.any(1)
    return films.films[free][:n]


class TestTruth:
    def test_free_motion_has_neither_jerk_nor_flicker(self):
        films = straight()
        assert len(films) == 40
        assert jerk(films).max() < 1e-4 and flicker(films).max() < 1e-6

    def test_jerk_by_hand(self):
        """One pixel of ink at columns 2, 3, 3, 5: accelerations -1 and +2."""
        films = torch.full((1, 1, 4, 8, 8), -1.0)
        for t, column in enumerate((2, 3, 3, 5)):
            films[0, 0, t, 4, column] = 1
        torch.testing.assert_close(jerk(films), torch.tensor([1.5]))

    def test_a_still_film_flickers_by_what_is_added(self):
        still = straight()[:, :, :1].repeat(1, 1, 5, 1, 1)
        assert flicker(still).max() < 1e-12 and jerk(still).max() == 0
        noisy = still + 0.05 * torch.randn(still.shape)
        assert (flicker(noisy) > 0.5 * 2 * 0.05**2).all()

    def test_shuffled_frames_are_jerky_I58(self):
        films = moving_digits("valid", 100).films
        assert jerk(films[:, :, torch.tensor([3, 0, 6, 1, 7, 4, 2, 5])]).mean() > 3 * jerk(films).mean()

    def test_frames_of_different_digits_lose_their_identity(self):
        films = moving_digits("valid", 200)
        order = torch.randperm(200)
        mixed = torch.where((torch.arange(8) % 2 == 0).view(1, 1, 8, 1, 1), films.films, films.films[order])
        assert identity(films.films).mean() > 0.9 and identity(mixed).mean() < 0.4


class TestShift:
    def test_whole_steps_equal_a_roll_with_ground_let_in(self):
        images = torch.rand(2, 5, 7) * 2 - 1
        moved = shift(images, torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
        torch.testing.assert_close(moved[0, 1:, :5], images[0, :4, 2:], rtol=0, atol=1e-5)
        torch.testing.assert_close(moved[1, :, 3:], images[1, :, :4], rtol=0, atol=1e-5)
        torch.testing.assert_close(moved[1, :, :3], torch.full((5, 3), -1.0), rtol=0, atol=1e-5)

    def test_half_a_step_is_the_mean_of_two(self):
        image = torch.rand(1, 4, 6)
        moved = shift(image, torch.tensor([[0.0, 0.5]]))
        torch.testing.assert_close(moved[..., 1:], (image[..., 1:] + image[..., :-1]) / 2, rtol=0, atol=1e-5)


def test_what_a_caller_can_get_wrong():
    films = straight()
    with rejects("frames: got 2"):
        jerk(films[:, :, :2])
    for one in (identity, flicker):
        with rejects("frames: got 1"):
            one(torch.zeros(2, 1, 1, 16, 16))
    with rejects("images: got shape"):
        shift(films, torch.zeros(40, 2))
