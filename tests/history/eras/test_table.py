"""The table of neighbours: a probability, exact, and better than independent pixels."""

import itertools
import math
from collections import Counter

import pytest
import torch

from companion.data import digits
from companion.history.eras.grey import grey_index, to_greys
from companion.history.eras.table import SMOOTHING, NeighbourTable
from tests.conftest import gen

TRAIN, VALID = (to_greys(digits(split, limit=300).images) for split in ("train", "valid"))


def test_every_context_is_a_distribution():
    table = NeighbourTable(TRAIN)
    torch.testing.assert_close(table.log_shares.exp().sum(1), torch.ones(256))


def test_a_context_is_left_above_left_and_right_above_counted_pixel_by_pixel():
    greys = torch.nn.functional.pad(grey_index(TRAIN[:40])[:, 0], (1, 1, 1, 0))
    counts = Counter()
    for row, column in itertools.product(range(1, 29), range(1, 29)):
        near = [greys[:, row, column - 1], greys[:, row - 1, column]]
        near += [greys[:, row - 1, column - 1], greys[:, row - 1, column + 1]]
        counts.update(map(tuple, torch.stack([*near, greys[:, row, column]], 1).tolist()))
    total = 0.0
    for cell, number in counts.items():
        row = sum(counts[(*cell[:4], grey)] for grey in range(4))
        total += number * math.log((number + SMOOTHING) / (row + 4 * SMOOTHING))
    found = NeighbourTable(TRAIN[:40]).log_prob(TRAIN[:40]).double().sum()
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_it_beats_independent_pixels_on_unseen_digits():
    shares = torch.stack([(grey_index(TRAIN) == grey).float().mean(0) for grey in range(4)], -1)[0]
    alone = ((shares + 1e-3) / (shares + 1e-3).sum(-1, keepdim=True)).log()
    independent = alone.expand(300, -1, -1, -1).gather(-1, grey_index(VALID)[:, 0, ..., None]).flatten(1).sum(1).mean()
    assert NeighbourTable(TRAIN).log_prob(VALID).mean() > 0.6 * independent


def test_its_own_draws_are_as_probable_as_its_entropy_says():
    """Draws and probabilities belong together: the surprise of its own pictures is that of its softmax, pixel by pixel."""
    table = NeighbourTable(TRAIN)
    drawn = table.draw(20, gen(1))
    assert drawn.shape == (20, 1, 28, 28) and len(grey_index(drawn).unique()) == 4
    again = NeighbourTable(table.draw(200, gen(2)))
    assert float((table.log_prob(drawn).mean() - again.log_prob(drawn).mean()).abs()) < 12
