"""Moving digits: the films, their ground truth, their captions and their splits."""

import math
from dataclasses import replace

import pytest
import torch

from companion.data import digits
from companion.data.moving_digits import DIGIT_NAMES, DIRECTIONS, _cut, bounce, film_maker, moving_digits, render
from tests.conftest import gen, rejects


@pytest.fixture(scope="module")
def maker():
    return film_maker("valid", limit=200)


def ink(films: torch.Tensor) -> torch.Tensor:
    return (films[:, 0] + 1) / 2


class TestBounce:
    def test_equals_a_walk_step_by_step_I60(self):
        """``eq-coherence-bounce`` as the lesson prints it, against a point that is moved and reflected in small steps."""
        start, velocity, room = torch.rand(40, 2, generator=gen()) * 5, torch.randn(40, 2, generator=gen(1)), 5.0
        got, _, _ = bounce(start, velocity, torch.full((40, 2), room), 12)
        place, going = start.double(), velocity.double()
        for frame in range(12):
            printed = [
                room - abs(room - (s + v * frame) % (2 * room))
                for s, v in zip(start.flatten().tolist(), velocity.flatten().tolist(), strict=True)
            ]
            torch.testing.assert_close(got[:, frame], torch.tensor(printed).reshape(40, 2), rtol=0, atol=1e-4)
            torch.testing.assert_close(got[:, frame].double(), place, rtol=0, atol=1e-4)
            place = place + going
            low, high = place < 0, place > room
            place = torch.where(low, -place, torch.where(high, 2 * room - place, place))
            going = torch.where(low | high, -going, going)

    def test_by_hand(self):
        position, velocity, turned = bounce(torch.tensor([[1.0]]), torch.tensor([[1.0]]), torch.tensor([[3.0]]), 8)
        assert position.flatten().tolist() == [1, 2, 3, 2, 1, 0, 1, 2]
        assert velocity.flatten().tolist() == [1, 1, -1, -1, -1, 1, 1, 1]
        assert turned.flatten().int().tolist() == [0, 0, 1, 0, 0, 1, 0, 0]

    def test_the_other_way_is_the_mirror_image(self):
        start, velocity, room = torch.tensor([[1.0]]), torch.tensor([[1.0]]), torch.tensor([[3.0]])
        right, left = bounce(start, velocity, room, 9), bounce(room - start, -velocity, room, 9)
        assert torch.equal(left[0], 3 - right[0]) and torch.equal(left[1], -right[1]) and torch.equal(left[2], right[2])

    def test_the_velocity_leads_from_frame_to_frame(self, maker):
        films = maker.draw(100, gen(), frames=20, height=16, width=20)
        moved = films.positions[:, 1:] - films.positions[:, :-1]
        torch.testing.assert_close(moved, films.velocities[:, :-1])

    def test_a_start_outside_the_walls(self):
        with rejects("start"):
            bounce(torch.tensor([[4.0]]), torch.tensor([[1.0]]), torch.tensor([[3.0]]), 2)


class TestFilms:
    def test_the_ink_is_where_the_truth_says(self, maker):
        """The middle of the ink's bounding box, measured in each frame, is the position."""
        films = maker.draw(50, gen(), frames=9, height=18, width=23)
        for axis, lines in ((0, ink(films.films).amax(-1)), (1, ink(films.films).amax(-2))):
            seen = lines > 0
            first = seen.int().argmax(-1)
            last = lines.shape[-1] - 1 - seen.flip(-1).int().argmax(-1)
            torch.testing.assert_close((first + last) / 2, films.positions[..., axis])

    def test_nothing_is_lost_at_the_walls(self, maker):
        total = ink(maker.draw(60, gen(), frames=12).films).sum((-1, -2))
        torch.testing.assert_close(total, total[:, :1].expand_as(total))

    def test_frames_differ_by_a_shift_alone_between_bounces(self, maker):
        films = maker.draw(30, gen(), frames=6, height=16, width=24)
        for film, velocity in zip(films.films[:, 0], films.velocities, strict=True):
            for t in range(5):
                shifted = film[t].roll(tuple(velocity[t].int().tolist()), (0, 1))
                torch.testing.assert_close(shifted, film[t + 1])

    def test_captions_say_what_happens(self, maker):
        films = maker.draw(200, gen(), frames=8)
        middle = films.positions[:, math.ceil(7 / 2)] - films.positions[:, 0]
        for i, caption in enumerate(films.captions):
            _, digit, _, direction = caption.split()
            assert DIGIT_NAMES.index(digit) == films.labels[i] and DIRECTIONS[films.directions[i]] == direction
            along = {"left": -middle[i, 1], "right": middle[i, 1], "up": -middle[i, 0], "down": middle[i, 0]}
            assert max(along, key=along.get) == direction and along[direction] > 0
        assert len(set(films.captions)) > 35, "ten digits in four directions"

    def test_a_direction_is_one_axis_at_the_makers_speed(self):
        films = film_maker("valid", limit=30, speed=0.5).draw(80, gen())
        wanted = torch.tensor(
            [{"left": (0, -0.5), "right": (0, 0.5), "up": (-0.5, 0), "down": (0.5, 0)}[w] for w in DIRECTIONS]
        )
        torch.testing.assert_close(films.velocities[:, 0], wanted[films.directions].float())

    def test_only_the_ways_that_are_asked_for_and_all_of_them_by_default(self, maker):
        corridor = maker.draw(60, gen(), height=10, width=16, ways=("down", "left"))
        assert {DIRECTIONS[d] for d in corridor.directions.tolist()} == {"down", "left"}
        same = maker.draw(60, gen(), ways=DIRECTIONS)
        assert torch.equal(same.films, maker.draw(60, gen()).films) and len(same.directions.unique()) == 4

    def test_the_first_bounce_comes_in_the_second_half_and_not_never(self, maker):
        """Room ahead is left for half of the moves, and for no more."""
        films = maker.draw(300, gen())
        assert films.films.shape == (300, 1, 8, 16, 16)
        assert not films.bounces[:, : math.ceil(7 / 2)].any()
        for frames in (8, 9):  # 7 moves and 8
            wide = maker.draw(300, gen(), frames=frames, height=40, width=40).bounces
            assert not wide[:, :4].any() and wide[:, 4].any(), "half of the moves is four"

    def test_centred_films_of_one_digit_and_direction_are_one_film(self, maker):
        """Where the canvas has room no digit bounces, and its path's middle is the canvas's, to half a pixel."""
        films = replace(maker, centred=True).draw(200, gen(), height=30, width=30)
        assert not films.bounces.any()
        assert ((films.positions[:, 0] + films.positions[:, -1]) / 2 - 14.5).abs().max() <= 0.5
        one = replace(maker, centred=True, sprites=maker.sprites[:1], ink=maker.ink[:1], labels=maker.labels[:1])
        first, again = one.draw(40, gen()), one.draw(40, gen(1))
        for way in range(4):
            same = torch.cat([first.films[first.directions == way], again.films[again.directions == way]])
            assert len(same) > 2 and (same == same[:1]).all()

    def test_cutting_loses_no_ink(self):
        for image in (digits("valid", limit=40).images[:, 0] + 1) / 2:
            cut, (rows, columns) = _cut(image)
            assert float(cut.sum()) == pytest.approx(float(image.sum()), rel=1e-5)
            assert cut[rows - 1].any() and cut[:, columns - 1].any() and cut[0].any() and cut[:, 0].any()

    @pytest.mark.parametrize("size", [(1, 10, 10), (7, 12, 31), (13, 25, 11)])
    def test_any_length_and_shape_I57(self, maker, size):
        films = maker.draw(3, gen(), frames=size[0], height=size[1], width=size[2])
        assert films.films.shape == (3, 1, *size) and films.films.isfinite().all()
        assert films.films.min() == -1 and films.films.max() <= 1 + 1e-6

    def test_half_a_pixel_is_a_blend(self):
        drawn = render(torch.ones(1, 1, 1), torch.tensor([[[1.5, 2.0]]]), 4, 4)[0, 0, 0]
        want = torch.full((4, 4), -1.0)
        want[1:3, 2] = 0.0
        torch.testing.assert_close(drawn, want)

    def test_a_slow_digit(self):
        films = film_maker("valid", limit=20, speed=0.25).draw(5, gen(), frames=9)
        torch.testing.assert_close(films.velocities.abs().amax(-1), torch.full((5, 9), 0.25))

    def test_repeats_with_the_seed_and_not_without(self):
        a, b, c = moving_digits(n=4), moving_digits(n=4), moving_digits(n=4, seed=1)
        assert torch.equal(a.films, b.films) and a.captions == b.captions and not torch.equal(a.films, c.films)
        assert "4 films of 8 frames, 16×16" in repr(a) and a.license == "CC BY-SA 3.0"


def test_no_digit_is_in_two_splits():
    parts = {split: film_maker(split) for split in ("train", "valid", "test")}
    assert {s: len(m.labels) for s, m in parts.items()} == {"train": 4000, "valid": 500, "test": 500}
    contents = {s: {sprite.numpy().tobytes() for sprite in m.sprites} for s, m in parts.items()}
    assert not contents["train"] & contents["valid"] and not contents["train"] & contents["test"]


class TestBadInput:
    @pytest.mark.parametrize("bad", [{"n": 0}, {"n": 2, "frames": 0}, {"n": 2, "height": 9}, {"n": 2, "width": 3}])
    def test_sizes(self, maker, bad):
        with rejects(list(bad)[-1]):
            maker.draw(generator=gen(), **bad)

    @pytest.mark.parametrize("ways", [(), ("left", "back")])
    def test_ways(self, maker, ways):
        with rejects("ways"):
            maker.draw(2, gen(), ways=ways)

    @pytest.mark.parametrize(("name", "value"), [("size", 3), ("size", 21), ("speed", 0.0), ("split", "dev")])
    def test_maker(self, name, value):
        with rejects(name):
            film_maker(**{name: value})


def test_a_slow_point_turns_at_the_wall_whatever_its_neighbours_do():
    """Half a pixel a frame, so that it is at the wall exactly: beside a point of the other direction as alone."""
    start, velocity, room = torch.tensor([[1.0], [1.0]]), torch.tensor([[0.5], [-0.5]]), torch.full((2, 1), 2.0)
    _, moving, turned = bounce(start, velocity, room, 8)
    assert moving[:, :, 0].tolist() == [[0.5] * 2 + [-0.5] * 4 + [0.5] * 2, [-0.5] * 2 + [0.5] * 4 + [-0.5] * 2]
    assert turned[:, :, 0].nonzero().tolist() == [[0, 2], [0, 6], [1, 2], [1, 6]]
    for row in (0, 1):
        alone = bounce(start[row : row + 1], velocity[row : row + 1], room[:1], 8)
        assert torch.equal(alone[1][0], moving[row]) and torch.equal(alone[2][0], turned[row])
