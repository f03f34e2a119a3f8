"""Chapter 3.1's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from companion.exercises.checking import grade
from companion.exercises.overview.copying import _by_dealing
from companion.exercises.overview.gaussians import _facts
from companion.exercises.overview.text import wanted
from companion.language.ngrams import fit_ngram
from tests.exercises import typical

RIGHT = typical.right("3_01_overview")


def character(
    kinds: Callable[[Tensor], float] = lambda n: float((n > 0).sum()),
    first: Callable[[int], float] = lambda size: 1 / size,
    ends: Callable[[str], list[str]] = lambda h: [h[len(h) - k :] for k in range(len(h) + 1)],
    add: float = 0.0,
    overlapping: bool = True,
) -> Callable[..., Any]:
    def wrong(text: str, context: str, alphabet: str) -> Tensor:
        p = torch.full((len(alphabet),), first(len(alphabet)))
        for h in ends(context):
            if overlapping:
                after = [text[i + len(h)] for i in range(len(text) - len(h)) if text.startswith(h, i)]
                n = torch.tensor([float(after.count(c)) for c in alphabet])
            else:
                n = torch.tensor([float(text.count(h + c)) for c in alphabet])
            t = kinds(n)
            if add:
                p = (n + add) / (n.sum() + add * len(alphabet))
            elif n.sum():
                p = (n + t * p) / (n.sum() + t)
        return p

    return wrong


def divides_by_zero(text: str, context: str, alphabet: str) -> Tensor:
    after = [text[i + len(context)] for i in range(len(text) - len(context)) if text.startswith(context, i)]
    n = torch.tensor([float(after.count(c)) for c in alphabet])
    return n / n.sum()


def typical_set(
    lead: Callable[[int], float] = lambda d: d / 2,
    away: Callable[[int], float] = math.sqrt,
    faint: Callable[[int, float], float] = lambda d, f: d * (1 - f * f) / 2,
) -> Callable[..., Any]:
    return lambda d, f: (lead(d), away(d), faint(d, f))


def bayes(
    det: float = 1.0,
    prior: Callable[[Tensor], Tensor] = torch.log,
    last: Callable[[Tensor], Tensor] = lambda joint: joint.softmax(1),
) -> Callable[..., Any]:
    def wrong(x: Tensor, priors: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
        joint = MultivariateNormal(means, covariances).log_prob(x[:, None]) + prior(priors)
        return last(joint + 0.5 * (1 - det) * torch.logdet(covariances))

    return wrong


def copied(
    share: Callable[[Tensor, Tensor], Tensor] = lambda near, far: near.amin(1) < far.amin(1),
    deviation: Callable[[float, float, int, int], float] = lambda squares, s, n, m: (
        math.sqrt(m / (4 * (m - 1)) * (squares - n * n / m)) / n
    ),
) -> Callable[..., Any]:
    def wrong(samples: Tensor, train: Tensor, witness: Tensor) -> tuple[float, float]:
        near, far = (torch.cdist(samples.flatten(1), part.flatten(1)) for part in (train, witness))
        wins = torch.cat([near, far], 1).argmin(1).tolist()
        squares = sum(wins.count(i) ** 2 for i in range(2 * len(train)))
        s = float(share(near, far).float().mean())
        return s, deviation(squares, s, len(samples), 2 * len(train))

    return wrong


def filled(
    gain: Callable[[Tensor, Tensor], Tensor] = lambda cross, own: cross @ torch.linalg.inv(own),
    minus: bool = True,
    plus: bool = True,
    into: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda x, known, guess: x.clone().masked_scatter(
        ~known.expand_as(x), guess
    ),
) -> Callable[..., Any]:
    def wrong(x: Tensor, known: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        away = x[:, known] - mean[known] * minus
        guess = mean[~known] * plus + away @ gain(covariance[~known][:, known], covariance[known][:, known]).T
        return into(x, known, guess)

    return wrong


def all_entries(x: Tensor, known: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Zeroes the known ones' weights but lets the hidden places of the input in."""
    right = RIGHT["fill_in"](x, known, mean, covariance)
    return torch.where(known, right, right + 0.1 * (x - mean))


WRONG: list[typical.Row] = [
    ("3.1.1", character(kinds=lambda n: float(n.sum())), 3, "not different characters"),
    ("3.1.1", character(kinds=lambda n: 0.0), 0, "the shorter context is forgotten"),
    ("3.1.1", character(add=1.0), 3, "another smoothing"),
    ("3.1.1", character(ends=lambda h: [h[:k] for k in range(len(h) + 1)]), 11, "wrong end"),
    ("3.1.1", character(ends=lambda h: [h]), 8, "only the longest context"),
    ("3.1.1", character(overlapping=False), 11, "overlap are not counted"),
    ("3.1.1", divides_by_zero, 0, "divided by zero"),
    ("3.1.2", typical_set(lead=float), 12, "the half in front"),
    ("3.1.2", typical_set(lead=lambda d: 0.5 * d * math.log(2 * math.pi * math.e)), 12, "the entropy"),
    ("3.1.2", typical_set(away=float), 11, "the squared distance"),
    ("3.1.2", typical_set(faint=lambda d, f: d * (1 - f) / 2), 11, "not squared"),
    ("3.1.2", typical_set(faint=lambda d, f: -d * (1 - f * f) / 2), 11, "wrong way round"),
    ("3.1.2", lambda d, f: (392.0, 28.0, 294.0), 0, "formulas belong"),
    ("3.1.3", RIGHT["posterior_with_bugs"], 0, "normalised over the examples"),
    ("3.1.3", bayes(det=0.0), 15, "determinant of the covariance is missing"),
    ("3.1.3", bayes(last=lambda joint: joint.softmax(0)), 0, "not over the classes"),
    ("3.1.3", bayes(prior=torch.zeros_like), 9, "shares of the classes are ignored"),
    ("3.1.3", bayes(last=lambda joint: joint.exp() / joint.exp().sum(1, keepdim=True)), 17, "underflow"),
    ("3.1.4", copied(share=lambda near, far: near.amin(1) > far.amin(1)), 12, "nearer to the witness"),
    ("3.1.4", copied(share=lambda near, far: near.mean(1) < far.mean(1)), 12, "mean distances"),
    ("3.1.4", copied(deviation=lambda squares, s, n, m: 0.5 / math.sqrt(n)), 8, "independent coins"),
    ("3.1.4", copied(deviation=lambda squares, s, n, m: math.sqrt(s * (1 - s) / n)), 8, "the share that was found"),
    ("3.1.4", copied(deviation=lambda q, s, n, m: m / (4 * (m - 1)) * (q - n * n / m) / n**2), 8, "without the root"),
    ("3.1.5", filled(minus=False), 11, "known entries is not subtracted"),
    ("3.1.5", filled(plus=False), 7, "hidden entries is not added"),
    ("3.1.5", filled(gain=lambda cross, own: cross), 11, "inverse of the known"),
    ("3.1.5", filled(gain=lambda cross, own: cross / own.diagonal()), 11, "taken as independent"),
    ("3.1.5", filled(into=lambda x, known, guess: x), 3, "in the hidden places is left"),
    ("3.1.5", all_entries, 3, "hidden entries of the input are used"),
]


def test_the_equation_is_the_packages_own_model() -> None:
    """Counted place by place here and by sorted numbers there, with contexts that were seen and that were not."""
    text = "to be or not to be that is the question"
    alphabet = "".join(sorted(set(text)))
    for context in ("", "t", "to b", "qb", "nnn"):
        torch.testing.assert_close(wanted(text, context, alphabet), fit_ngram(text, len(context)).next(context))


def test_the_facts_of_one_pixel_by_hand() -> None:
    """One pixel: -x²/2 is -1/2 on average for a draw, and -1/8 for a copy at half strength."""
    assert _facts(1, 0.5) == pytest.approx((0.5, 1.0, 0.375), abs=1e-6)


def test_dealing_out_labels_by_hand() -> None:
    """Two of four images won all four samples, three and one: the share is 3/4, 1/4, 1 or 0, or 3/4 and 1/4 again."""
    shares = [1.0, 0.75, 0.75, 0.25, 0.25, 0.0]
    assert _by_dealing([3, 1, 0, 0], 2, 4) == pytest.approx(math.sqrt(sum((s - 0.5) ** 2 for s in shares) / 6))


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    """Another algorithm, another type of number: full points."""
    assert grade("3.1.1", character(), seed=4) == 20
    assert grade("3.1.2", typical_set(), seed=4) == 16
    assert grade("3.1.3", bayes(), seed=4) == 22
    assert grade("3.1.4", copied(), seed=4) == 20
    assert grade("3.1.5", filled(), seed=4) == 22
