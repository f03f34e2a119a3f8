"""Span corruption: nothing is lost, and as much is cut as the paper says."""

import pytest
import torch

from companion.text.t5.span_corruption import Corrupted, corrupt, restore

LAST = 999


@pytest.mark.parametrize(
    ("n", "share", "mean_length"), [(3, 0.15, 3), (9, 0.15, 3), (64, 0.5, 1), (65, 0.15, 3), (200, 0.9, 7)]
)
def test_restoring_gives_the_text_back(n: int, share: float, mean_length: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        ids = torch.randint(500, (n,), generator=generator)
        assert torch.equal(restore(corrupt(ids, LAST, generator, share=share, mean_length=mean_length), LAST), ids)


def test_the_papers_example() -> None:
    """Figure 2 of the paper, with words as numbers 1 to 10; the sentinels count down."""
    ids = torch.arange(1, 11)
    given = Corrupted(torch.tensor([1, 2, 999, 5, 6, 7, 8, 998, 10]), torch.tensor([999, 3, 4, 998, 9, 997]))
    assert torch.equal(restore(given, LAST), ids)


def test_share_and_length_of_the_spans() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.arange(400)
    for _ in range(20):
        done = corrupt(ids, LAST, generator)
        assert (done.target < 500).sum() == 60  # 15 % of 400, exactly
        assert (done.target > 500).sum() == 21  # spans of 3 in the mean, and the last sentinel
        assert done.target[done.target > 500].tolist() == [LAST - i for i in range(21)]
        assert len(done.input) == 400 - 60 + 20
        assert done.input[0] == 0, "a text begins with a piece that stays"


def test_both_directions_are_alike_and_the_ends_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(20)
    for _ in range(4_000):
        done = corrupt(torch.arange(20), LAST, generator, share=0.2, mean_length=2)
        counts[done.target[done.target < 500]] += 1
    assert counts[0] == counts[-1] == 0
    assert float((counts - counts.flip(0)).abs().max()) < 150  # five standard deviations of a difference
    assert float(counts.sum()) == 4 * 4_000


def test_spans_differ_from_draw_to_draw_and_not_with_the_seed() -> None:
    ids = torch.arange(40)
    a, b = (corrupt(ids, LAST, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a.input, b.input)
    assert not torch.equal(a.input, corrupt(ids, LAST, torch.Generator().manual_seed(4)).input)


def test_what_cannot_be_corrupted_is_refused() -> None:
    generator = torch.Generator()
    with pytest.raises(ValueError, match="below the sentinels"):
        corrupt(torch.tensor([1, 998, 3]), LAST, generator)
    with pytest.raises(ValueError, match="none below 0"):
        corrupt(torch.tensor([1, -2, 3]), LAST, generator)
    with pytest.raises(ValueError, match="at least 3"):
        corrupt(torch.tensor([1, 2]), LAST, generator)
    with pytest.raises(ValueError, match="share"):
        corrupt(torch.arange(9), LAST, generator, share=0.0)
    with pytest.raises(ValueError, match="begins and ends"):
        restore(Corrupted(torch.tensor([1, 999]), torch.tensor([999, 4])), LAST)
    with pytest.raises(ValueError, match="sentinel 1"):
        restore(Corrupted(torch.tensor([1, 999, 998]), torch.tensor([999, 4, 997])), LAST)
