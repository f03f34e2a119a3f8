"""The choice of a rate: by the first seed's score alone, and no run more than needed."""

import pytest
from torch import nn

from companion.history.timeline.fair import tuned
from tests.conftest import rejects


class Trained(nn.Module):
    def __init__(self, rate: float, seed: int) -> None:
        super().__init__()
        self.rate, self.seed = rate, seed


@pytest.mark.parametrize("wanted", [0.1, 0.2, 0.3])
def test_the_best_rate_of_the_first_seed_is_used_for_all(wanted: float) -> None:
    made = []

    def fit(rate: float, seed: int) -> Trained:
        made.append((rate, seed))
        return Trained(rate, seed)

    # For other seeds the score would prefer other rates.
    found = tuned(fit, lambda m: -abs(m.rate - wanted) if m.seed == 7 else m.rate, (0.1, 0.2, 0.3), (7, 8, 9))
    assert found.rate == wanted
    assert [(m.rate, m.seed) for m in found.models] == [(wanted, seed) for seed in (7, 8, 9)]
    assert len(made) == 5
    assert found.scores(lambda m: m.seed) == [7, 8, 9]


def test_bad_input() -> None:
    with rejects("rates: got 0"):
        tuned(Trained, lambda m: 0, (), (1,))
    with rejects("seeds: got 0"):
        tuned(Trained, lambda m: 0, (1,), ())
