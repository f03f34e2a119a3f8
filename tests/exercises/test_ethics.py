"""Chapter 3.9's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from companion.exercises.ethics.evidence import _z
from tests.exercises import typical


def score(
    pairs: Callable[[list], Any] = set,
    extra: int = 0,
    swap: bool = False,
    finish: Callable[[int, int, float], float] = lambda g, t, r: (g - r * t) / math.sqrt(t * r * (1 - r)),
) -> Callable[..., float]:
    def wrong(ids: list[int], green: Tensor, ratio: float) -> float:
        some = pairs(list(zip(ids, ids[1:], strict=False)))
        hits = sum(bool(green[b, a] if swap else green[a, b]) for a, b in some)
        return finish(hits, len(some) + extra, ratio)

    return wrong


def table(
    total: Callable[[float, float], float] = lambda right, false: right + false,
    share: Callable[..., float] = lambda right, false, *_: right / (right + false),
) -> Callable[..., tuple[float, float]]:
    def wrong(fakes: float, caught: float, accused: float) -> tuple[float, float]:
        right, false = 1e6 * fakes * caught, 1e6 * (1 - fakes) * accused
        return total(right, false), share(right, false, caught, accused)

    return wrong


def duels(tie: float = 0.5, sign: int = 1, less: int = 0) -> Callable[[Tensor, Tensor], float]:
    def wrong(fakes: Tensor, reals: Tensor) -> float:
        apart = sign * (fakes[:, None] - reals[None])
        return float(((apart > 0).sum() + tie * (apart == 0).sum() - less * len(fakes)) / apart.numel())

    return wrong


def weigh(cell: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A wrong answer that is a function of the table of counts."""

    def wrong(jobs: Tensor, groups: Tensor) -> Tensor:
        counts = torch.zeros(int(jobs.max()) + 1, int(groups.max()) + 1).double()
        counts.index_put_((jobs, groups), torch.ones(len(jobs)).double(), accumulate=True)
        return cell(counts).expand_as(counts)[jobs, groups]

    return wrong


def fair(t: Tensor) -> Tensor:
    return t.sum(1, keepdim=True) * t.sum(0, keepdim=True) / (t.sum() * t)


def pay(
    operations: float = 6, utilise: Callable[[float], float] = lambda u: 1 / u, pue: float = 1, joules: float = 3.6e6,
    carbon: Callable[[float, float, float], float] = lambda kwh, grams, p: kwh * grams / 1000,
) -> Callable[..., tuple[float, float]]:  # fmt: skip
    def wrong(n: float, d: float, peak: float, u: float, watts: float, p: float, grams: float) -> tuple[float, float]:
        kwh = operations * n * d / peak * utilise(u) * watts * p**pue / joules
        return kwh, carbon(kwh, grams, p)

    return wrong


WRONG: list[typical.Row] = [
    ("3.9.1", score(pairs=list), 12, "a pair that repeats is counted each time"),
    ("3.9.1", score(finish=lambda g, t, r: (g - r * t) / (t * r * (1 - r))), 0, "divided by the variance"),
    ("3.9.1", score(extra=1), 0, "the first token counted as a trial"),
    ("3.9.1", score(swap=True), 0, "green before its successor"),
    ("3.9.1", score(finish=lambda g, t, r: g / t), 0, "the share of green pairs, not its distance"),
    ("3.9.2", table(total=lambda right, false: right), 8, "the right alarms alone"),
    ("3.9.2", table(share=lambda right, false, caught, accused: caught), 7, "the share of fakes that are caught"),
    ("3.9.2", table(share=lambda r, f, caught, accused: caught / (caught + accused)), 7, "fakes taken to be as common"),
    ("3.9.2", table(share=lambda right, false, *_: false / (right + false)), 7, "the share of alarms that are wrong"),
    ("3.9.2", table(share=lambda right, false, caught, accused: 1 - accused), 7, "real pictures that are left alone"),
    ("3.9.3", duels(tie=0.0), 13, "a tie counts for nothing"),
    ("3.9.3", duels(tie=1.0), 13, "a tie counts as won"),
    ("3.9.3", duels(sign=-1), 0, "the share of pairs that the real picture wins"),
    ("3.9.3", duels(less=1), 0, "every rank one too small"),
    ("3.9.4", weigh(lambda t: 1 / fair(t)), 0, "the fraction upside down"),
    ("3.9.4", weigh(lambda t: fair(t) / t.sum()), 8, "scaled to add up to one"),
    ("3.9.4", weigh(lambda t: t.sum() / (t.numel() * t)), 0, "every cell made equally heavy"),
    ("3.9.4", weigh(lambda t: t.sum() / (t.shape[1] * t.sum(0, keepdim=True))), 0, "the groups alone are balanced"),
    ("3.9.5", pay(operations=2), 12, "the forward pass alone"),
    ("3.9.5", pay(utilise=lambda u: u), 12, "multiplied by the utilisation"),
    ("3.9.5", pay(utilise=lambda u: 1.0), 12, "the utilisation is left out"),
    ("3.9.5", pay(joules=3600), 12, "watt-hours, not kilowatt-hours"),
    ("3.9.5", pay(pue=-1), 15, "divided by the PUE"),
    ("3.9.5", pay(pue=0), 15, "the PUE is left out"),
    ("3.9.5", pay(carbon=lambda kwh, grams, p: kwh * p * grams / 1000), 13, "the PUE applied twice"),
    ("3.9.5", pay(carbon=lambda kwh, grams, p: kwh * grams), 13, "grams, not kilograms"),
]


def test_the_z_score_of_the_checks_is_the_printed_formula() -> None:
    assert _z(40, 100, 0.25) == pytest.approx((40 - 25) / math.sqrt(100 * 0.25 * 0.75), rel=1e-12)


def test_the_bugs_of_the_given_function_are_three() -> None:
    """`area_with_bugs` is wrong on scores without ties; with ranks mended, the counting is right and ties are not."""
    given, right = typical.right("3_09_ethics")["area_with_bugs"], typical.right("3_09_ethics")["area"]
    fakes, reals = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.5, 2.5])
    assert given(fakes, reals) != pytest.approx(right(fakes, reals))
    ranks = torch.cat([fakes, reals]).argsort().argsort().double()
    assert float((ranks[:3].sum() + 3 - 6) / 6) == pytest.approx(right(fakes, reals))
