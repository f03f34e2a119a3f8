"""The two T5s with and without reading: the same start and the same tasks; only one can write numbers."""

import pytest
import torch

from companion.models.t5_reading import READ, STARTS, TAUGHT, build, load
from companion.models.t5_tasks import write
from companion.text.t5.tasks import TASKS, examples
from companion.weights import card


def test_both_start_from_the_same_weights_and_end_elsewhere() -> None:
    first, second = build().values()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert sum(p.numel() for p in build().parameters()) == card("t5_reading").parameters
    trained = load()
    assert tuple(trained) == STARTS and not torch.equal(*(one.tokens.weight for one in trained.values()))


def test_only_the_one_that_has_not_read_can_write_numbers() -> None:
    some, trained = examples("numbers", "test", limit=40), load()
    right = {}
    for start in STARTS:
        written = write(trained[start], [e.source for e in some])
        right[start] = sum(text == e.target for text, e in zip(written, some, strict=True))
    assert right["pre-trained"] < 10 < 30 < right["from nothing"]


@pytest.mark.parametrize("shares", [READ, TAUGHT])
def test_shares_are_of_all_tasks(shares: dict[str, float]) -> None:
    assert tuple(shares) == TASKS and sum(shares.values()) == pytest.approx(1)
