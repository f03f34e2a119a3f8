"""The report: real digits score their floor, and each failure moves the number that is there to see it."""

import pytest
import torch

from companion.data import digits
from companion.history.eras.grey import to_greys
from companion.history.eras.judge import Report, one_of_each, quality, reference, report
from companion.metrics.digit_judge import opinion, recognised
from companion.metrics.nearest import CopyingTest
from tests.conftest import rejects


@pytest.fixture(scope="module")
def sets():
    data = {split: digits(split) for split in ("train", "valid", "test")}
    return {split: (to_greys(one.images), one.labels) for split, one in data.items()}


@pytest.fixture(scope="module")
def real(sets):
    return reference(sets["train"][0][:1500], sets["valid"][0][:400], 100, torch.Generator().manual_seed(0))


def judged(samples, real):
    return report(samples, real, torch.Generator().manual_seed(1))


def test_new_real_digits_are_legible_varied_near_the_floor_and_no_copies(sets, real):
    found = judged(sets["test"][0][:100], real)
    assert found.confident > 0.9 and found.covered == 10 and found.variety > 9
    assert 0.6 * real.floor < found.fid < 1.6 * real.floor
    assert found.copying.p_value > 0.002 and found.copying.share < 0.7 and found.close < 0.15


def test_one_digit_alone_is_legible_but_not_varied(sets, real):
    images, labels = sets["train"]
    found = judged(images[labels == 3][:100], real)
    assert found.confident > 0.9 and found.covered == 1 and found.variety < 1.5
    assert found.fid > 3 * real.floor


def test_copies_are_found_out(sets, real):
    found = judged(real.twins[:100], real)
    assert found.copying.p_value < 0.01 and found.copying.share == 1 and found.close == 1


def test_noise_is_far_away(real):
    noise = torch.randn(100, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    assert judged(noise, real).fid > 10 * real.floor


def test_samples_are_rounded_before_judging(sets, real):
    samples = sets["test"][0][:100]
    soft, hard = judged(samples * 0.9, real), judged(samples, real)
    assert soft.fid == hard.fid and torch.equal(soft.counts, hard.counts)


def test_variety_is_a_number_of_digits():
    def of(counts):
        return Report(1.0, torch.tensor(counts), 0.0, 0.0, CopyingTest(0.5, torch.zeros(1), 1.0))

    assert of([7] * 10).variety == pytest.approx(10) and of([7] * 10).covered == 10
    assert of([5, 5] + [0] * 8).variety == pytest.approx(2)
    assert of([99, 1] + [0] * 8).covered == 2 and of([990, 1] + [0] * 8).covered == 1
    assert of([0] * 10).variety == 0 and of([0] * 10).covered == 0


def test_half_copies_are_found_out_where_a_median_would_hide_them(sets, real):
    mixed = torch.cat([real.twins[:40], sets["test"][0][:60]])
    assert 0.4 <= judged(mixed, real).close < 0.55


def test_one_of_each_takes_the_first_that_is_surely_each_digit_or_else_the_nearest_to_one(sets):
    images = sets["test"][0][:100]
    found = one_of_each(images)
    assert recognised(found, torch.arange(10)).all()
    sure = opinion(images)[:, 7] > 0.9
    assert sure.sum() > 1 and torch.equal(found[7], images[sure][0])
    doubtful = torch.cat([images[~sure], images[sure][:1] * 0.5 + images[~sure][:1] * 0.5])
    assert (opinion(to_greys(doubtful))[:, 7] <= 0.9).all()
    assert torch.equal(one_of_each(doubtful)[7], doubtful[opinion(to_greys(doubtful))[:, 7].argmax()])


def test_quality_is_measured_with_a_bound_where_there_is_one():
    class Real:
        def draw(self, n, generator):
            return digits("test").images[:n]

    class Bounded(Real):
        def bound(self, images, generator):
            return torch.full((len(images),), 3.0)

    without, with_bound = quality(Real(), smoke=True), quality(Bounded(), smoke=True)
    assert with_bound == without | {"bound_nats": 3.0} and without["sure"] > 0.9


def test_bad_input(sets, real):
    images = sets["train"][0]
    for call, pattern in [
        (lambda: judged(images[:50], real), "samples: got 50, wanted 100"),
        (lambda: reference(images[:10], images[:20], 5, torch.Generator()), "held_out: got 20"),
        (lambda: reference(images[:50], images[:20], 21, torch.Generator()), "samples: got 21"),
        (lambda: reference(images[:50], images[:20], 1, torch.Generator()), "samples: got 1"),
    ]:
        with rejects(pattern):
            call()
