"""A comparison with equal chances: each side tries the same learning rates, the choice is made on validation data.

A rate is judged by the first seed's model alone; the other seeds are trained at the chosen rate. So no number of the test set
enters a choice, and the seeds' spread is that of training, not of the choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from companion.validate import check_count


@dataclass(frozen=True)
class Tuned:
    """What `tuned` found.

    Attributes:
        rate: the chosen learning rate.
        models: one for each seed, in the seeds' order.
    """

    rate: float
    models: list[nn.Module]

    def scores(self, score: Callable[[nn.Module], float]) -> list[float]:
        """The score of each seed's model."""
        return [score(model) for model in self.models]


def tuned(
    fit: Callable[[float, int], nn.Module],
    score: Callable[[nn.Module], float],
    rates: Sequence[float],
    seeds: Sequence[int],
) -> Tuned:
    """Train at each rate with the first seed, choose by ``score``, then train the other seeds.

    Args:
        fit: ``fit(rate, seed)``, a trained model.
        score: of a model on validation data; higher is better.

    Raises:
        ValueError: no rates or no seeds.
    """
    check_count("rates", len(rates))
    check_count("seeds", len(seeds))
    first = {rate: fit(rate, seeds[0]) for rate in rates}
    best = max(rates, key=lambda rate: score(first[rate]))
    return Tuned(best, [first[best], *(fit(best, seed) for seed in seeds[1:])])
