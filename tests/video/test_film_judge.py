"""The judge of films: exact on motion that is known, and how often it is right on real films."""

import torch

from companion.data.moving_digits import moving_digits
from companion.video.film_judge import centroids, digit_crops, judge_films, slopes
from tests.conftest import rejects


class TestTruth:
    def test_the_centre_of_one_pixel_is_that_pixel(self):
        films = torch.full((2, 1, 3, 5, 7), -1.0)  # height and width differ (I58)
        for t, (row, column) in enumerate(((1, 2), (4, 0), (3, 6))):
            films[0, 0, t, row, column] = 0.3
        got = centroids(films)
        torch.testing.assert_close(got[0], torch.tensor([[1.0, 2.0], [4.0, 0.0], [3.0, 6.0]]))
        assert torch.equal(got[1], torch.tensor([[2.0, 3.0]]).expand(3, 2))  # nothing to see: the middle

    def test_centres_move_as_the_films_say(self):
        films = moving_digits("test", 200)
        free = ~films.bounces.any(1)
        steps = centroids(films.films).diff(dim=1)
        torch.testing.assert_close(steps[free], films.velocities[free, :-1], rtol=0, atol=1e-4)

    def test_slopes_are_numpys_polyfit(self):
        import numpy as np

        path = torch.randn(3, 7, 2)
        want = np.stack([np.polyfit(np.arange(7), path[i].numpy(), 1)[0] for i in range(3)])
        torch.testing.assert_close(slopes(path), torch.from_numpy(want).float(), rtol=0, atol=1e-5)

    def test_ink_below_a_tenth_does_not_pull_the_centre(self):
        film = torch.full((1, 1, 1, 5, 7), -1.0)
        film[0, 0, 0, 2, 1], film[0, 0, 0, 4, 6] = 1.0, -0.82  # ink 1 and 0.09
        torch.testing.assert_close(centroids(film)[0, 0], torch.tensor([2.0, 1.0]))
        film[0, 0, 0, 4, 6] = -0.5  # ink 0.25
        torch.testing.assert_close(centroids(film)[0, 0], torch.tensor([2.0, 1.0]) + 0.25 / 1.25 * torch.tensor([2, 5]))

    def test_opinions_are_the_mean_of_every_frames(self):
        """A film cut together from others: no frame counts more, the first included."""
        films = moving_digits("test", 5).films[:, :, :1].transpose(0, 2)
        verdict = judge_films(films)
        alone = torch.cat([judge_films(films[:, :, t : t + 1]).opinions for t in range(5)])
        assert len(alone.argmax(1).unique()) > 2
        torch.testing.assert_close(verdict.opinions, alone.mean(0, keepdim=True))
        assert torch.equal(verdict.digits, alone.mean(0, keepdim=True).argmax(1))

    def test_the_direction_is_that_of_the_first_half(self):
        """Two steps one way and three steps of twice the length back, in each of the four directions."""
        films = torch.full((4, 1, 6, 15, 15), -1.0)
        for way, step in enumerate(((0, -1), (0, 1), (-1, 0), (1, 0))):  # left, right, up, down
            for t, far in enumerate((0, 1, 2, 0, -2, -4)):
                films[way, 0, t, 7 + far * step[0], 7 + far * step[1]] = 1.0
        assert judge_films(films).directions.tolist() == [0, 1, 2, 3]
        assert judge_films(films[:, :, :2]).directions.tolist() == [0, 1, 2, 3]

    def test_windows_show_fourteen_pixels_twice_as_large(self):
        """A bright square of 14 pixels fills the window about its middle; beyond the film there is ground."""
        film = torch.full((1, 1, 1, 20, 24), -1.0)
        film[..., 3:17, 5:19] = 1.0
        middle = torch.tensor([[[9.5, 11.5]]])
        seen = digit_crops(film, middle)
        assert torch.equal(seen[..., 1:-1, 1:-1], torch.ones(1, 1, 26, 26))
        assert torch.equal(digit_crops(film, middle + 40), torch.full((1, 1, 28, 28), -1.0))
        edge = digit_crops(film, middle + torch.tensor([7.0, 0.0]))  # half of it above, the ground below
        assert torch.equal(edge[0, 0, 1:13, 1:-1], torch.ones(12, 26)) and edge[0, 0, 16:].max() == -1

    def test_windows_follow_the_digit(self):
        """A digit in free motion looks the same in all its crops."""
        films = moving_digits("test", 60, frames=4, height=20, width=24)
        free = films.films[~films.bounces.any(1)]
        views = digit_crops(free, centroids(free))
        assert (views - views[:, :1]).abs().max() < 1e-3


class TestOnRealFilms:
    def test_digits_and_directions_are_read(self):
        films = moving_digits("test", 300)
        verdict = judge_films(films.films)
        assert (verdict.directions == films.directions).float().mean() == 1
        assert (verdict.digits == films.labels).float().mean() > 0.86
        torch.testing.assert_close(verdict.opinions.sum(1), torch.ones(300))

    def test_backwards_the_direction_turns_round_I58(self):
        films = moving_digits("test", 100, frames=4)
        free = ~films.bounces.any(1)
        turned = judge_films(films.films[free].flip(2)).directions
        assert torch.equal(turned, films.directions[free] ^ 1)

    def test_noise_is_read_as_asked_no_more_often_than_by_chance(self):
        verdict = judge_films(torch.randn(400, 1, 4, 16, 16).clamp(-1, 1))
        assert (verdict.directions == torch.arange(400) % 4).float().mean() < 0.4


def test_what_a_caller_can_get_wrong():
    with rejects("films: got shape"):
        centroids(torch.zeros(2, 3, 4, 4))
