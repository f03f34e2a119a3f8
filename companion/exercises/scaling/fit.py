"""The checks of exercise 3.8.3: the objective by which a scaling law is fitted to runs.

Right values are torch's Huber loss between the logarithms of losses that are a known law's, and those with known errors.
"""

import math
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare_numbers
from companion.exercises.scaling.law import random_law
from companion.scaling.laws.fit import ScalingLaw


def _runs(law: ScalingLaw, g: Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """theta, N, D and the losses that the law gives."""
    count = int(torch.randint(6, 12, (), generator=g))
    n = 10 ** (6 + 3 * torch.rand(count, generator=g, dtype=torch.float64))
    d = 10 ** (8 + 3 * torch.rand(count, generator=g, dtype=torch.float64))
    theta = torch.tensor([math.log(law.A), law.alpha, math.log(law.B), law.beta, math.log(law.E)], dtype=torch.float64)
    return theta, n, d, law.loss(n, d)


def _even(g: Generator) -> ScalingLaw:
    """One exponent for both: what another property judges does not count twice."""
    law = random_law(g)
    return ScalingLaw(law.E, law.A, law.alpha, law.B, law.alpha)


def _objective_zero(answer: Answer, g: Generator) -> str:
    theta, n, d, losses = _runs(random_law(g), g)
    got = answer.tensor(theta, n, d, losses, 1e-3, shape=())
    if abs(float(got)) < 1e-10:
        # Zero must come from agreement: other constants must cost something.
        if float(answer.tensor(theta + 0.1, n, d, losses, 1e-3, shape=())) < 1e-6:
            raise Wrong("wrong constants cost nothing, too", "the losses are not used")
        return "the true constants cost nothing"
    raise Wrong(f"the true constants cost {float(got):.3g}", "a term of the law is wrong: look at each letter")


def _objective_off(answer: Answer, g: Generator, spread: float) -> str:
    """Losses that are off the law by up to ``spread`` in their logarithms: below delta, or mostly above it."""
    theta, n, d, true = _runs(_even(g), g)
    off = spread * (2 * torch.rand(len(n), generator=g, dtype=torch.float64) - 1)
    losses = true * off.exp()
    delta = 1e-3
    each = F.huber_loss(true.log(), losses.log(), delta=delta, reduction="none")
    mistakes = {
        "the mean over the runs, not their sum": each.mean(),
        "losses are compared, not their logarithms": F.huber_loss(true, losses, delta=delta, reduction="sum"),
        "the square without its half, or without the straight part": 0.5 * off.square().sum(),
        "the absolute error at every size": delta * off.abs().sum(),
    }
    got = float(answer.tensor(theta, n, d, losses, delta, shape=()))
    values = {name: float(value) for name, value in mistakes.items()}
    return compare_numbers(got, float(each.sum()), values, rel=1e-3)


EXERCISES = (
    Exercise(
        "3.8.3",
        "objective(theta, N, D, L, delta)",
        (
            Property("the true constants cost nothing", 6, _objective_zero),
            Property("small errors", 7, partial(_objective_off, spread=8e-4)),
            Property("large errors", 6, partial(_objective_off, spread=0.2)),
        ),
    ),
)
