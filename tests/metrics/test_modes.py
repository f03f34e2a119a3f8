"""Mode counts: hand-made samples whose modes and shares are known."""

import torch

from companion.data.points import ring
from companion.metrics.modes import mode_report, share_within
from tests.conftest import rejects

MEANS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def test_counts_of_a_hand_made_sample():
    points = torch.tensor([[0.1, 0.0], [0.0, 2.9], [0.0, 3.1], [10.0, 2.0], [5.0, 5.0]])
    report = mode_report(points, MEANS, 1.0)
    assert report.counts.tolist() == [2, 1, 0] and (report.found, report.modes) == (2, 3)
    assert abs(report.high_quality - 0.6) < 1e-6
    assert str(report) == "2/3 modes, 60% of the points in one"


def test_a_mode_needs_a_tenth_of_its_fair_share():
    # 300 points, 3 modes: a fair share is 100, a tenth of it 10.
    for stray, found in ((9, 1), (10, 2)):
        points = torch.cat([MEANS[0].expand(300 - stray, 2), MEANS[1].expand(stray, 2)])
        assert mode_report(points, MEANS, 1.0).found == found
    points = torch.cat([MEANS[0].expand(299, 2), MEANS[1].expand(1, 2)])
    assert mode_report(points, MEANS, 1.0, least_share=0.0).found == 2
    assert mode_report(points, MEANS, 1.0).found == 1


def test_the_true_law_reaches_the_ceiling():
    law = ring().mixture
    points, _ = law.sample(50_000, torch.Generator().manual_seed(0))
    report = mode_report(points, law.means, law.sd)
    assert report.found == 8 and abs(report.high_quality - share_within(3.0)) < 2e-3
    assert abs(share_within(3.0) - 0.98889) < 1e-5


def test_neither_number_alone_tells_collapse_from_spread():
    law = ring().mixture
    collapsed = mode_report(law.means[:1].expand(500, 2), law.means, law.sd)
    assert collapsed.found == 1 and collapsed.high_quality == 1
    spread = mode_report(4.5 * torch.rand(20_000, 2) - 2.25, law.means, law.sd, least_share=0.05)
    assert spread.found == 8 and spread.high_quality < 0.15


def test_order_does_not_matter_and_the_radius_does():
    law = ring().mixture
    points, _ = law.sample(500, torch.Generator().manual_seed(0))
    a, b = mode_report(points, law.means, law.sd), mode_report(points.flip(0), law.means.flip(0), law.sd)
    assert torch.equal(a.counts, b.counts.flip(0))
    assert mode_report(points, law.means, law.sd, within=1.0).high_quality < 0.5


def test_bad_input():
    good = torch.zeros(4, 2)
    for call, pattern in [
        (lambda: mode_report(torch.zeros(0, 2), MEANS, 1.0), "points: got shape"),
        (lambda: mode_report(torch.zeros(4, 3), MEANS, 1.0), "means: got shape"),
        (lambda: mode_report(torch.full((4, 2), float("inf")), MEANS, 1.0), "points: got 8 values"),
        (lambda: mode_report(good.long(), MEANS, 1.0), "points: got torch.int64"),
        (lambda: mode_report(good, MEANS, 0.0), "sd: got 0.0"),
        (lambda: mode_report(good, MEANS, 1.0, within=-1.0), "within: got -1.0"),
        (lambda: mode_report(good, MEANS, 1.0, least_share=2.0), "least_share: got 2.0"),
        (lambda: share_within(-1.0), "radius: got -1.0"),
    ]:
        with rejects(pattern):
            call()
