"""The marks of films from captions, on films of which all is known."""

from dataclasses import replace

import pytest
import torch

from companion.data.moving_digits import film_maker, moving_digits
from companion.metrics.intervals import wilson
from companion.video.film_judge import judge_films
from companion.video.sora.exam import Share, examine, variety
from tests.conftest import gen, rejects


def test_a_share_is_printed_with_its_interval():
    share = Share(45, 60)
    assert share.value == 0.75 and share.interval == wilson(45, 60)
    assert str(share) == "75% (63%–84%)"


def test_real_films_are_right_and_step_by_one_pixel():
    real = moving_digits("test", 60)
    marks = examine(real.films, real.labels, real.directions)
    read = int((judge_films(real.films).digits == real.labels).sum())
    assert marks.digit == Share(read, 60) and marks.motion == Share(60, 60)
    assert marks.seam == pytest.approx(1, abs=0.02) and marks.jerk < 0.4
    assert str(marks).startswith(f"digit {marks.digit}  motion 100% (94%–100%)  seam 1.00")


def test_another_question_is_answered_wrong():
    real = moving_digits("test", 60)
    marks = examine(real.films, (real.labels + 1) % 10, (real.directions + 1) % 4)
    assert marks.motion.right == 0 and marks.digit.value < 0.2


def test_halves_of_different_films_do_not_fit_at_the_seam():
    """Only at the seam: a film whose jump lies elsewhere keeps its pixel there."""
    real = moving_digits("test", 60)

    def joined(frame: int):
        films = torch.cat([real.films[:, :, :frame], real.films.roll(1, 0)[:, :, frame:]], 2)
        return examine(films, real.labels, real.directions)

    assert joined(4).seam > 2 and joined(6).seam == pytest.approx(1, abs=0.02)
    assert joined(6).jerk > 0.5


def test_one_handwriting_has_no_variety_wherever_it_stands():
    maker = film_maker("valid")
    many = maker.draw(80, gen())
    firsts = [int((maker.labels == name).int().argmax()) for name in range(10)]
    parts = {"sprites": maker.sprites[firsts], "ink": maker.ink[firsts], "labels": maker.labels[firsts]}
    same = replace(maker, **parts).draw(80, gen())
    found = variety(many.films, many.labels)
    assert 0.4 < found.within / found.total < 0.8
    one_hand = variety(same.films, same.labels)
    assert one_hand.within < 0.01 * one_hand.total
    faint = variety((many.films + 1) / 2 - 1, many.labels)  # half the ink
    assert faint.within == pytest.approx(found.within / 4, rel=0.05)
    no_names = variety(many.films, torch.arange(80) % 2)
    assert no_names.within > 0.9 * no_names.total == pytest.approx(0.9 * found.total)
    assert str(found) == f"within names {found.within:.3f}  between {found.total - found.within:.3f}"


def test_what_a_caller_can_get_wrong():
    real = moving_digits("test", 3, frames=4)
    with rejects("films: got 4 frames"):
        examine(real.films, real.labels, real.directions)
    longer = moving_digits("test", 3)
    with rejects("digits"):
        examine(longer.films, longer.labels[:2], longer.directions)
