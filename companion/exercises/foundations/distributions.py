"""The checks of exercises 3.3.1 and 3.3.2: the log-density of a mixture, and which way round KL is taken.

Right values come from `torch.distributions` and from a numerical search; the names of mistakes come from the values that
these mistakes give. Ids such as I3 are those of the course's list of known mistakes.
"""

import functools
import math

import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _mixture_shape(answer: Answer, g: Generator) -> str:
    n, k, d = sizes(g, 3)
    inputs = torch.randn(n, d, generator=g), torch.randn(k, generator=g), torch.randn(k, d, generator=g)
    got = answer.tensor(*inputs, torch.zeros(k, d), shape=(n,))
    return f"got shape {tuple(got.shape)}, wanted ({n},)"


def _mixture_one(answer: Answer, g: Generator) -> str:
    n, d = sizes(g, 2, low=3)
    x, mean, logvar = (torch.randn(size, d, generator=g) for size in (n, 1, 1))
    parts = Normal(mean, (0.5 * logvar).exp()).log_prob(x)
    got = answer.tensor(x, torch.zeros(1), mean, logvar, shape=(n,))
    return compare(
        got,
        parts.sum(-1),
        {
            "exp(logvar) taken for the standard deviation (I3)": Normal(mean, logvar.exp()).log_prob(x).sum(-1),
            "averaged over the dimensions, where independent ones add up": parts.mean(-1),
            "the constant with 2π is missing": parts.sum(-1) + 0.5 * d * math.log(2 * math.pi),
            "the constant with 2π is counted once, not once for each dimension (I63)": parts.sum(-1)
            + 0.5 * (d - 1) * math.log(2 * math.pi),
            "the determinant (the sum of logvar) is missing": parts.sum(-1) + 0.5 * logvar.sum(-1),
        },
    )


def _mixture_weights(answer: Answer, g: Generator) -> str:
    # One dimension, unit variance, differences of log-densities: what the property above judges does not count twice.
    n, k = sizes(g, 2, low=4)
    x, logits, means = torch.randn(n, 1, generator=g), torch.randn(k, generator=g), 2 * torch.randn(k, 1, generator=g)
    parts = Normal(means, 1.0).log_prob(x[:, None]).squeeze(-1)

    def mixed(weights: Tensor) -> Tensor:
        log_prob = MixtureSameFamily(Categorical(weights), Normal(means.squeeze(-1), 1.0)).log_prob(x.squeeze(-1))
        return log_prob - log_prob[:1]

    shifted = answer.tensor(x, logits + 3, means, torch.zeros(k, 1), shape=(n,))
    got = answer.tensor(x, logits, means, torch.zeros(k, 1), shape=(n,))
    in_logs = (parts * logits.softmax(0)).sum(-1)
    said = compare(
        got - got[:1],
        mixed(logits.softmax(0)),
        {
            "the weights are ignored": mixed(torch.ones(k)),
            "log-densities are averaged, not densities": in_logs - in_logs[:1],
            "the nearest component alone is counted": (best := (parts + logits).amax(-1)) - best[:1],
        },
    )
    compare(shifted, got, {"the logits are not normalised (log-softmax)": got + 3})
    return said


def _mixture_far(answer: Answer, g: Generator) -> str:
    k = sizes(g, 1)[0]
    x = 60 + 10 * torch.rand(3, 1, generator=g)
    logits, means = torch.randn(k, generator=g), torch.randn(k, 1, generator=g)
    result = answer(x, logits, means, torch.zeros(k, 1))
    if isinstance(result, Tensor) and torch.isinf(result).any():
        raise Wrong("the log of a density that underflows: got -inf", "exponentials before the logarithm: log-sum-exp")
    got = answer.tensor(x, logits, means, torch.zeros(k, 1), shape=(3,))
    wanted = MixtureSameFamily(Categorical(logits=logits), Normal(means.squeeze(-1), 1.0)).log_prob(x.squeeze(-1))
    return compare(got - got[:1], wanted - wanted[:1], {}, atol=0.05)


@functools.cache
def _fits(m: float, s: float) -> tuple[float, float, float, float]:
    """Mean and std of the best Gaussian in each direction, found by searching a grid that closes in."""
    x = torch.linspace(-m - 9 * s, m + 9 * s, 601, dtype=torch.float64)
    two = torch.stack((torch.full_like(x, -m), torch.full_like(x, m)))
    log_p = Normal(two, s).log_prob(x).logsumexp(0) - math.log(2)
    found: list[float] = []
    for forward in (True, False):
        mean, log_std, reach = m / 2, math.log(m), m
        for _ in range(10):
            means = torch.linspace(mean - reach, mean + reach, 21, dtype=torch.float64).abs()[:, None, None]
            stds = torch.linspace(log_std - reach, log_std + reach, 21, dtype=torch.float64).clamp(min=-3).exp()
            log_q = Normal(means, stds[:, None]).log_prob(x)
            first, second = (log_p, log_q) if forward else (log_q, log_p)
            kl = (first.exp() * (first - second)).sum(-1)
            # A sum over the grid is q's integral only if q lies inside the grid and is wide enough to be seen by it.
            kl[(first.exp().sum(-1) * (x[1] - x[0]) - 1).abs().expand(kl.shape) > 1e-3] = torch.inf
            best = int(kl.argmin())
            mean, log_std, reach = float(means[best // 21]), float(stds[best % 21].log()), reach / 2
        found += [mean, math.exp(log_std)]
    return found[0], found[1], found[2], found[3]


def _targets(g: Generator) -> list[tuple[float, float]]:
    """Two mixtures, in round numbers, whose humps lie far enough apart for one to be left alone by the other."""
    places = (3 + 3 * torch.rand(2, generator=g)).tolist()
    ratios = (3.5 + 0.5 * torch.rand(2, generator=g)).tolist()
    return [(round(m, 1), round(m / ratio, 2)) for m, ratio in zip(places, ratios, strict=True)]


def _predicted(answer: Answer, m: float, s: float) -> tuple[float, ...]:
    result = answer.numbers(m, s, count=4)
    if result[1] <= 0 or result[3] <= 0:
        raise Wrong("got a standard deviation that is not positive")
    return result


def _predict_form(answer: Answer, g: Generator) -> str:
    said = {_predicted(answer, m, s) for m, s in _targets(g)}
    if len(said) == 1:
        raise Wrong("got the same four numbers for two different mixtures", "numbers where formulas in m and s belong")
    return "got four numbers, wanted four numbers"


def _predict(which: int) -> Property:
    names = ("the forward fit's mean", "the forward fit's std", "the reverse fit's mean", "the reverse fit's std")
    points = (3, 4, 2, 3)

    def test(answer: Answer, g: Generator) -> str:
        for m, s in _targets(g):
            said, true = _predicted(answer, m, s), _fits(m, s)
            got, wanted = abs(said[which]), true[which]
            if abs(got - wanted) <= 0.015 * (m if which % 2 == 0 else wanted):
                continue
            mistakes = {
                "forward and reverse are swapped": true[(which + 2) % 4],
                "the variance is given for the standard deviation": wanted**2 if which % 2 else math.nan,
                "the humps' own width is forgotten": m if which == 1 else math.nan,
            }
            close = (name for name, value in mistakes.items() if abs(got - value) <= 0.015 * max(value, s))
            raise Wrong(f"not what the best Gaussian has at m = {m:g}, s = {s:g}", next(close, ""))
        return "within 1.5 %"

    return Property(names[which], points[which], test, after=True)


EXERCISES = (
    Exercise(
        "3.3.1",
        "mixture_log_prob(x, logits, means, logvars)",
        (
            Property("one number for each example", 2, _mixture_shape),
            Property("one component has a Gaussian's log-density", 6, _mixture_one),
            Property("several components count with their weights", 5, _mixture_weights),
            Property("a point far from every component", 5, _mixture_far),
        ),
    ),
    Exercise(
        "3.3.2",
        "predict(m, s)",
        (Property("four numbers that depend on m and s", 2, _predict_form), *(_predict(i) for i in range(4))),
    ),
)
