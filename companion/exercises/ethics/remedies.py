"""The checks of exercises 3.9.4 and 3.9.5: weights for a skewed collection, and the bill of a training.

The weights are checked by what they are for, a weighted table without dependence, and against the table's own counts; the bill
against numbers that come out even.
"""

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, compare_numbers


def _collection(g: Generator, jobs: int = 3, groups: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Jobs and groups of shuffled pictures, and the table of their counts; no cell is empty."""
    table = 2 + torch.randint(20, (jobs, groups), generator=g)
    cells = torch.cartesian_prod(torch.arange(jobs), torch.arange(groups)).repeat_interleave(table.flatten(), 0)
    shuffled = cells[torch.randperm(len(cells), generator=g)]
    return shuffled[:, 0], shuffled[:, 1], table.double()


def _weights(answer: Answer, jobs: Tensor, groups: Tensor) -> Tensor:
    return answer.tensor(jobs, groups, shape=tuple(jobs.shape)).detach().double()


def _values(answer: Answer, g: Generator) -> str:
    jobs, groups, table = _collection(g)
    n, by_job, by_group = table.sum(), table.sum(1, keepdim=True), table.sum(0, keepdim=True)
    wanted = by_job * by_group / (n * table)
    cells = {
        "the fraction upside down": 1 / wanted,
        "one over the count of the picture's cell": n / (table.numel() * table),
        "the groups alone are balanced": (n / (table.shape[1] * by_group)).expand_as(table),
        "P(c) and P(a) forgotten": n / table,
        "scaled to add up to one": wanted / n,
    }
    mistakes = {name: cell[jobs, groups] for name, cell in cells.items()}
    return compare(_weights(answer, jobs, groups), wanted[jobs, groups], mistakes)


def _independent(answer: Answer, g: Generator) -> str:
    jobs, groups, table = _collection(g, jobs=4, groups=3)
    weights = _weights(answer, jobs, groups)
    seen = torch.zeros_like(table).index_put_((jobs, groups), weights, accumulate=True)
    share = seen / seen.sum()
    apart = (share - share.sum(1, keepdim=True) * share.sum(0, keepdim=True)).abs().max()
    if not apart < 1e-5:
        raise Wrong(f"in the weighted table job and group still depend on each other, by up to {float(apart):.2g}")
    if not torch.allclose(share.sum(0), table.sum(0) / table.sum(), atol=1e-5):
        raise Wrong("the weights change how common each group is", "every cell made equally heavy")
    return "in the weighted table job and group are independent, and each is as common as before"


def _alone(answer: Answer, g: Generator) -> str:
    count = 3 + int(torch.randint(5, (), generator=g))
    jobs = torch.tensor([0] * count + [1] * 4)
    groups = torch.tensor([0] * count + [0, 0, 1, 1])
    wanted = torch.tensor(
        [(count + 2) / (count + 4)] * count + [(count + 2) / (count + 4) * 2] * 2 + [4 / (count + 4)] * 2
    )
    return compare(_weights(answer, jobs, groups), wanted, {"the fraction upside down": 1 / wanted})


def _numbers(g: Generator) -> tuple[float, ...]:
    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=g))

    return (between(1e9, 9e10), between(1e11, 9e12), between(1e14, 9e14), between(0.2, 0.6), between(200, 900))


def _joules(parameters: float, tokens: float, peak: float, utilisation: float, watts: float) -> float:
    return 6 * parameters * tokens / peak / utilisation * watts


def _energy(answer: Answer, g: Generator) -> str:
    given = _numbers(g)
    got, _ = answer.numbers(*given, 1.0, 400.0, count=2)
    joules, used = _joules(*given), given[3]
    mistakes = {
        "joules, not kilowatt-hours": joules,
        "watt-hours, not kilowatt-hours": joules / 3600,
        "multiplied by the utilisation": joules * used**2 / 3.6e6,
        "the utilisation is left out": joules * used / 3.6e6,
        "the forward pass alone, 2ND": joules / 3 / 3.6e6,
    }
    return compare_numbers(got, joules / 3.6e6, mistakes)


def _building(answer: Answer, g: Generator) -> str:
    given, pue = _numbers(g), 1.1 + 0.5 * float(torch.rand((), generator=g))
    with_it, without = (answer.numbers(*given, p, 400.0, count=2)[0] for p in (pue, 1.0))
    mistakes = {
        "divided by the PUE": 1 / pue,
        "the PUE is left out": 1.0,
        "the PUE applied twice": pue**2,
        "the overhead alone": pue - 1,
    }
    return compare_numbers(with_it / without if without else 0.0, pue, mistakes)


def _carbon(answer: Answer, g: Generator) -> str:
    given, pue = _numbers(g), 1.1 + 0.5 * float(torch.rand((), generator=g))
    grams = 20 + 700 * float(torch.rand((), generator=g))
    kwh, got = answer.numbers(*given, pue, grams, count=2)
    mistakes = {
        "grams, not kilograms": kwh * grams,
        "the PUE applied twice": kwh * pue * grams / 1000,
        "the energy before the building's overhead": kwh / pue * grams / 1000,
        "tonnes, not kilograms": kwh * grams / 1e6,
    }
    if not kwh > 0:
        raise Wrong(f"got an energy of {kwh}, wanted a positive one")
    return compare_numbers(got, kwh * grams / 1000, mistakes)


EXERCISES = (
    Exercise(
        "3.9.4",
        "fair_weights(jobs, groups)",
        (
            Property("the weights", 12, _values),
            Property("what they are for", 8, _independent),
            Property("a job with people of one group only", 5, _alone),
        ),
    ),
    Exercise(
        "3.9.5",
        "bill(parameters, tokens, peak, utilisation, watts, pue, grams_per_kwh)",
        (
            Property("the computers' energy", 8, _energy),
            Property("the building's overhead", 5, _building),
            Property("the emissions", 7, _carbon),
        ),
    ),
)
