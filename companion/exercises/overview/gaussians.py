"""The checks of exercises 3.1.2, 3.1.3 and 3.1.5: where a Gaussian's probability is, Bayes' rule, and what is hidden.

Right values come from `torch.distributions`, and for what is hidden from the precision matrix, which is another way to the same
conditional; the names of mistakes come from the values that these mistakes give.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.distributions import Chi2, MultivariateNormal, Normal, kl_divergence

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, compare_numbers, depends_on, sizes


def _facts(d: int, f: float) -> tuple[float, float, float]:
    """The three numbers of exercise 3.1.2 from entropies, a divergence and the mean of a chi-square."""
    one, faint = Normal(0.0, 1.0), Normal(0.0, f)
    lead = float(one.log_prob(torch.tensor(0.0)) + one.entropy())
    faint_log_p = -float(kl_divergence(faint, one) + faint.entropy())
    return d * lead, float(Chi2(torch.tensor(float(d))).mean.sqrt()), d * (faint_log_p + float(one.entropy()))


def _cases(g: Generator) -> list[tuple[int, float]]:
    d, f = (10 + torch.randint(900, (2,), generator=g)).tolist(), (0.2 + 0.6 * torch.rand(2, generator=g)).tolist()
    return [(d[0], f[0]), (d[1] + 1000, f[1])]


def _typical(which: int) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        for d, f in _cases(g):
            mistakes = (
                {
                    "a draw was taken for the mean": 0.0,
                    "the half in front of the square is missing": float(d),
                    "the entropy, which has the constant in it": 0.5 * d * math.log(2 * math.pi * math.e),
                    "the wrong way round: the mean is the more probable one": -d / 2,
                },
                {
                    "the squared distance": float(d),
                    "the distance in one dimension": 1.0,
                    "a draw was taken for the mean": 0.0,
                },
                {
                    "the factor is not squared": 0.5 * d * (1 - f),
                    "the half in front of the square is missing": d * (1 - f * f),
                    "the wrong way round: the faint copy is the more probable one": -0.5 * d * (1 - f * f),
                    "the density changes as if the copies were spread out": -d * math.log(f),
                },
            )[which]
            got = answer.numbers(d, f, count=3)[which]
            try:
                compare_numbers(got, _facts(d, f)[which], mistakes, rel=1e-4)
            except Wrong as wrong:
                raise Wrong(f"not what is true for d = {d} and f = {f:.2f}", wrong.mistake) from wrong
        return "as it is"

    return test


def _covariances(g: Generator, classes: int, d: int) -> Tensor:
    half = torch.randn(classes, d, d, generator=g, dtype=torch.float64)
    scale = torch.linspace(0.4, 2.5, classes, dtype=torch.float64)[torch.randperm(classes, generator=g)]
    return scale[:, None, None] * (half @ half.mT / d + 0.3 * torch.eye(d, dtype=torch.float64))


def _classes(g: Generator, alike: bool, classes: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, k, d = sizes(g, 3, low=3, high=7)
    k = classes or k
    priors = torch.softmax(1.5 * torch.randn(k, generator=g, dtype=torch.float64), 0)
    means = torch.randn(k, d, generator=g, dtype=torch.float64)
    covariances = _covariances(g, k, d)
    if alike:
        covariances = covariances[:1].repeat(k, 1, 1)
    return torch.randn(n, d, generator=g, dtype=torch.float64), priors, means, covariances


def _joint(x: Tensor, priors: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    return MultivariateNormal(means, covariances).log_prob(x[:, None]) + priors.log()


def _asked(answer: Answer, inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    return answer.tensor(*inputs, shape=(len(inputs[0]), len(inputs[1])))


def _posterior_mistakes(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    x, priors, means, covariances = inputs
    right, log_dets = _joint(*inputs), torch.logdet(covariances)
    no_det = right + 0.5 * log_dets
    return {
        "the determinant of the covariance is missing": no_det.softmax(1),
        "the determinant of the covariance is missing, and normalised over the examples": no_det.softmax(0),
        "normalised over the examples, not over the classes": right.softmax(0),
        "the shares of the classes are ignored": (right - priors.log()).softmax(1),
        "the share is added, where its logarithm belongs": (right - priors.log() + priors).softmax(1),
        "the determinant counts twice": (right - 0.5 * log_dets).softmax(1),
        "not normalised": right.exp(),
    }


def _adds_up(answer: Answer, g: Generator) -> str:
    inputs = _classes(g, alike=True)
    got = _asked(answer, inputs)
    if (got.sum(1) - 1).abs().max() > 1e-5:
        columns = (got.sum(0) - 1).abs().max() < 1e-5
        raise Wrong(
            "the probabilities of an example do not add up to one",
            "normalised over the examples, not over the classes" if columns else "",
        )
    return "each example's probabilities add up to one"


def _bayes(alike: bool) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        said = ""
        for _ in range(2):
            inputs = _classes(g, alike)
            said = compare(_asked(answer, inputs), _joint(*inputs).softmax(1), _posterior_mistakes(inputs), atol=1e-5)
        return said

    return test


def _far(answer: Answer, g: Generator) -> str:
    x, priors, means, covariances = _classes(g, alike=True)
    inputs = (x + 400, priors, means, covariances)
    result = answer(*inputs)
    if isinstance(result, Tensor) and not torch.isfinite(result).all():
        raise Wrong(
            "for an example far from all classes got values that are not finite",
            "densities that underflow: stay with logarithms",
        )
    return compare(_asked(answer, inputs), _joint(*inputs).softmax(1), _posterior_mistakes(inputs), atol=1e-4)


def _hidden(g: Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, d = sizes(g, 2, low=4)
    known = torch.zeros(d, dtype=torch.bool)
    known[torch.randperm(d, generator=g)[: d // 2]] = True
    mean = 2 * torch.randn(d, generator=g, dtype=torch.float64)
    return torch.randn(n, d, generator=g, dtype=torch.float64), known, mean, _covariances(g, 1, d)[0]


def _best_guess(x: Tensor, known: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """By the precision matrix P, of which the hidden part alone is inverted: mean_h - P_hh^-1 P_hk (x_k - mean_k)."""
    precision = torch.linalg.inv(covariance)
    pull = precision[~known][:, known] @ (x[:, known] - mean[known]).T
    return mean[~known] - torch.linalg.solve(precision[~known][:, ~known], pull).T


def _filled(answer: Answer, inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    x, known, _, _ = inputs
    rubbish = torch.where(known, x, 7.0)
    return answer.tensor(rubbish, *inputs[1:], shape=tuple(x.shape))


def _known_stay(answer: Answer, g: Generator) -> str:
    inputs = _hidden(g)
    got = _filled(answer, inputs)
    if not torch.allclose(got[:, inputs[1]], inputs[0][:, inputs[1]].to(got.dtype)):
        raise Wrong("known entries have changed")
    return "the known entries are as they were"


def _conditional(answer: Answer, g: Generator) -> str:
    x, known, mean, covariance = inputs = _hidden(g)
    cross, own = covariance[~known][:, known], covariance[known][:, known]
    away = x[:, known] - mean[known]
    mistakes = {
        "the mean of the known entries is not subtracted": mean[~known]
        + x[:, known] @ torch.linalg.solve(own, cross.T),
        "the mean of the hidden entries is not added": away @ torch.linalg.solve(own, cross.T),
        "the inverse of the known entries' covariance is missing": mean[~known] + away @ cross.T,
        "the known entries are taken as independent": mean[~known] + (away / own.diagonal()) @ cross.T,
        "the mean alone: the known entries are not used": mean[~known].expand(len(x), -1),
        "what stood in the hidden places is left": torch.full((len(x), int((~known).sum())), 7.0, dtype=x.dtype),
    }
    return compare(_filled(answer, inputs)[:, ~known], _best_guess(*inputs), mistakes, atol=1e-5)


def _rubbish(answer: Answer, g: Generator) -> str:
    x, known, mean, covariance = _hidden(g)
    said = []
    for value in (7.0, -100.0, math.nan):
        result = answer(torch.where(known, x, value), known, mean, covariance)
        if isinstance(result, Tensor) and torch.isnan(result).any():
            raise Wrong(
                "NaN in a hidden place of the input comes out again", "the hidden entries of the input are used"
            )
        said.append(answer.tensor(torch.where(known, x, value), known, mean, covariance, shape=tuple(x.shape)))
    if any((one - said[0])[:, ~known].abs().max() > 1e-6 for one in said):
        raise Wrong("the result depends on the hidden entries of the input", "the hidden entries of the input are used")
    return "what stands in the hidden places does not matter"


def _independent(answer: Answer, g: Generator) -> str:
    x, known, mean, covariance = _hidden(g)
    inputs = (x, known, mean, torch.diag(covariance.diagonal()))
    wanted = mean[~known].expand(len(x), -1)
    mistakes = {"the mean of the hidden entries is not added": torch.zeros_like(wanted)}
    return compare(_filled(answer, inputs)[:, ~known], wanted, mistakes, atol=1e-6)


EXERCISES = (
    Exercise(
        "3.1.2",
        "predict(d, f)",
        (
            Property("three numbers that depend on the case", 2, depends_on(_cases, 3)),
            Property("the lead of the mean", 4, _typical(0), after=True),
            Property("the distance of a draw", 5, _typical(1), after=True),
            Property("the lead of the faint copy", 5, _typical(2), after=True),
        ),
    ),
    Exercise(
        "3.1.3",
        "posterior(x, priors, means, covariances)",
        (
            Property("the probabilities of an example", 4, _adds_up),
            Property("classes that share one covariance", 6, _bayes(True)),
            Property("classes with covariances of their own", 7, _bayes(False)),
            Property("examples far from all classes", 5, _far),
        ),
    ),
    Exercise(
        "3.1.5",
        "fill_in(x, known, mean, covariance)",
        (
            Property("the known entries", 3, _known_stay),
            Property("the best guess for the hidden ones", 11, _conditional),
            Property("what stands in the hidden places", 4, _rubbish),
            Property("entries that are independent", 4, _independent),
        ),
    ),
)
