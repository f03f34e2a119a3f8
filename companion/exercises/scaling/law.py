"""The checks of exercises 3.8.2, 3.8.4 and 3.8.5: the best split, what growth brings, and models that are served.

Right values are found by search (the lowest loss, or the lowest cost, over a fine grid of sizes), not by the formulas that
the exercises ask for.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare_numbers, depends_on
from companion.scaling.laws.fit import ScalingLaw


def _uniform(g: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=g, dtype=torch.float64))


def random_law(g: Generator) -> ScalingLaw:
    """Constants like published ones, with exponents that are clearly different."""
    alpha = round(_uniform(g, 0.28, 0.36), 3)
    return ScalingLaw(
        round(_uniform(g, 1.5, 1.9), 3),
        round(_uniform(g, 300, 600), 1),
        alpha,
        round(_uniform(g, 900, 2500), 1),
        round(alpha * _uniform(g, 1.15, 1.35), 3),
    )


def _constants(law: ScalingLaw) -> tuple[float, ...]:
    return law.E, law.A, law.alpha, law.B, law.beta


def _lowest(cost: Callable[[Tensor], Tensor], low: float, high: float) -> float:
    """Where a function of N with one valley is lowest between two sizes, on a grid of ln N that closes in."""
    a, b = math.log(low), math.log(high)
    for _ in range(6):
        x = torch.linspace(a, b, 2001, dtype=torch.float64)
        best = int(cost(x.exp()).nan_to_num(nan=torch.inf).argmin())
        a, b = float(x[max(0, best - 1)]), float(x[min(2000, best + 1)])
    return math.exp((a + b) / 2)


def _best_size(law: ScalingLaw, compute: float) -> float:
    return _lowest(lambda n: law.loss(n, compute / 6 / n), 1e3, 1e16)


def _budget(g: Generator) -> float:
    return 10 ** _uniform(g, 19, 25)


def _pair(answer: Answer, *inputs: float) -> tuple[float, float]:
    n, d = answer.numbers(*inputs, count=2)
    if n <= 0 or d <= 0:
        raise Wrong(f"got N = {n:g} and D = {d:g}, wanted both above zero")
    return n, d


# 3.8.2


def _split_spends(answer: Answer, g: Generator) -> str:
    law, compute = random_law(g), _budget(g)
    n, d = _pair(answer, *_constants(law), compute)
    return compare_numbers(
        6 * n * d,
        compute,
        {"C = N D, without the six": 6 * compute, "only N D of a forward pass: C = 2 N D": 3 * compute},
    )


def _split_best(answer: Answer, g: Generator) -> str:
    law, compute = random_law(g), _budget(g)
    n, d = _pair(answer, *_constants(law), compute)
    pairs = n * d  # judged for what the answer spends, so that a forgotten six does not count twice
    wanted = _lowest(lambda size: law.loss(size, pairs / size), 1e2, 1e16)
    total = law.alpha + law.beta
    power, swapped = pairs ** (law.beta / total), pairs ** (law.alpha / total)
    factor, plain = wanted / power, (law.A / law.B) ** (1 / total)  # G, and G without its exponents
    mistakes = {
        "the exponents of N and D are swapped": factor * swapped,
        "G is missing: the factors A and B count too": power,
        "G is turned over": power / factor,
        "G without the exponents in it: slopes are equal at the best split, not the two parts of the loss": plain
        * power,
        "N and D grow alike: that is a rule of thumb, not this law": math.sqrt(pairs),
    }
    return compare_numbers(n, wanted, mistakes, rel=1e-3)


def _split_growth(answer: Answer, g: Generator) -> str:
    law, compute = random_law(g), _budget(g)
    small, large = (_pair(answer, *_constants(law), c)[0] for c in (compute, 100 * compute))
    wanted = _best_size(law, 100 * compute) / _best_size(law, compute)
    total = law.alpha + law.beta
    mistakes = {
        "the exponents of N and D are swapped": 100 ** (law.alpha / total),
        "N and D grow alike: that is a rule of thumb, not this law": 10.0,
    }
    return compare_numbers(large / small, wanted, mistakes, rel=1e-3)


# 3.8.4

NAMES = ("the best N", "the best D", "tokens for each parameter", "what is left above E")


def _growth(g: Generator) -> tuple[float, float, float, tuple[float, ...]]:
    law, factor = random_law(g), round(_uniform(g, 5, 200))
    small, large = (_best_size(law, c) for c in (1e21, 1e21 * factor))
    n = large / small
    d = factor / n
    left = (law.loss(large, factor * 1e21 / 6 / large) - law.E) / (law.loss(small, 1e21 / 6 / small) - law.E)
    return law.alpha, law.beta, factor, (n, d, d / n, float(left))


def _growth_part(which: int, points: int) -> Property:
    def test(answer: Answer, g: Generator) -> str:
        alpha, beta, factor, true = _growth(g)
        total = alpha + beta
        mistakes = [
            {"N and D are swapped": true[1], "all of the compute goes into N": factor, "both grow alike": factor**0.5},
            {"N and D are swapped": true[0], "all of the compute goes into D": factor, "both grow alike": factor**0.5},
            {"the ratio is turned over": 1 / true[2], "the ratio is taken for a constant": 1.0},
            {
                "the exponent of one part alone": factor**-alpha,
                "the exponent of the other part alone": factor**-beta,
                "the two exponents added up": factor**-total,
                "more compute leaves less, not more": 1 / true[3],
            },
        ][which]
        return compare_numbers(answer.numbers(alpha, beta, factor, count=4)[which], true[which], mistakes, rel=0.005)

    return Property(NAMES[which], points, test, after=True)


# 3.8.5


def _service(g: Generator) -> tuple[ScalingLaw, float, float]:
    law = random_law(g)
    loss = float(law.optimum(_budget(g)).loss)
    return law, loss, 10 ** _uniform(g, 11, 13.5)


def _tokens_for(law: ScalingLaw, n: Tensor, loss: float) -> Tensor:
    left = loss - law.E - law.A / n**law.alpha
    return torch.where(left > 0, (law.B / left.clamp(min=1e-300)) ** (1 / law.beta), torch.nan)


def _cheapest(law: ScalingLaw, loss: float, served: float) -> tuple[float, float]:
    """The size that costs the fewest operations, by search over sizes, and these operations."""
    least = (law.A / (loss - law.E)) ** (1 / law.alpha)

    def cost(n: Tensor) -> Tensor:
        return 6 * n * _tokens_for(law, n, loss) + 2 * n * served

    n = _lowest(cost, least * 1.0001, least * 1e6)
    return n, float(cost(torch.tensor(n, dtype=torch.float64)))


def _serve_reaches(answer: Answer, g: Generator) -> str:
    law, loss, served = _service(g)
    n, d = _pair(answer, *_constants(law), loss, served)
    got = float(law.loss(n, d))
    mistakes = {
        "the promised loss is taken for what is left above E": law.E + loss,
        "N and D are swapped": float(law.loss(d, n)),
    }
    return compare_numbers(got, loss, mistakes, rel=1e-4)


def _serve_nothing(answer: Answer, g: Generator) -> str:
    law, loss, _ = _service(g)
    n, d = _pair(answer, *_constants(law), loss, 0.0)
    _reached(law, n, d, loss)
    cost, (_, best) = 6 * n * d, _cheapest(law, loss, 0.0)
    if cost <= 1.002 * best:
        return "the cheapest training"
    raise Wrong(f"a training of {best / cost:.0%} of this compute reaches the loss as well", "")


def _serve_much(answer: Answer, g: Generator) -> str:
    law, loss, served = _service(g)
    n, d = _pair(answer, *_constants(law), loss, served)
    _reached(law, n, d, loss)
    cost, (_, best) = 6 * n * d + 2 * n * served, _cheapest(law, loss, served)
    if cost <= 1.002 * best:
        return "no size is cheaper"
    mistakes = {
        "the cheapest training, as if nothing were served": law.optimum(law.compute_for(loss)).parameters,
        "a served token counted like a trained one, forward and backward": _cheapest(law, loss, 3 * served)[0],
    }
    name = next((name for name, size in mistakes.items() if abs(n / size - 1) < 0.01), "")
    raise Wrong(f"another size costs {best / cost:.1%} of it", name)


def _serve_smaller(answer: Answer, g: Generator) -> str:
    law, loss, served = _service(g)
    sizes = [_pair(answer, *_constants(law), loss, s)[0] for s in (0.0, served, 30 * served)]
    if sizes[0] > sizes[1] > sizes[2]:
        return "more use, a smaller model"
    kind = "as if nothing were served" if sizes[0] == sizes[1] == sizes[2] else "more use asks for a larger model"
    raise Wrong(f"for more and more use got N = {', '.join(f'{n:.3g}' for n in sizes)}", kind)


def _reached(law: ScalingLaw, n: float, d: float, loss: float) -> None:
    if abs(float(law.loss(n, d)) / loss - 1) > 1e-3:
        raise Wrong("the promised loss is not reached, so the cost does not count", "")


EXERCISES = (
    Exercise(
        "3.8.2",
        "best_split(E, A, alpha, B, beta, compute)",
        (
            Property("the compute is spent", 4, _split_spends),
            Property("no other split has a lower loss", 9, _split_best),
            Property("how N grows with the compute", 6, _split_growth),
        ),
    ),
    Exercise(
        "3.8.4",
        "predict(alpha, beta, factor)",
        (
            Property(
                "four numbers that depend on the law",
                2,
                depends_on(
                    lambda g: [_growth(g)[:3] for _ in range(2)], 4, belongs="formulas in alpha, beta and the factor"
                ),
            ),
            *(_growth_part(which, points) for which, points in enumerate((5, 4, 4, 5))),
        ),
    ),
    Exercise(
        "3.8.5",
        "cheapest(E, A, alpha, B, beta, loss, served)",
        (
            Property("the promised loss is reached", 5, _serve_reaches),
            Property("with nothing to serve", 6, _serve_nothing),
            Property("with much to serve", 8, _serve_much),
            Property("more use, a smaller model", 3, _serve_smaller),
        ),
    ),
)
