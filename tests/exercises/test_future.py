"""Chapter 3.10's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.exercises.checking import grade
from companion.exercises.future.speculation import _rounds
from tests.exercises import typical

RIGHT = typical.right("3_10_future")


def rows(
    top: Callable[[int], int] = lambda bits: 2 ** (bits - 1) - 1,
    largest: Callable[[Tensor], Tensor] = lambda w: w.abs().amax(1),
    rounding: Callable[[Tensor], Tensor] = torch.round,
    safe: bool = True,
) -> Callable[..., Any]:
    def wrong(weight: Tensor, bits: int) -> Any:
        scale = largest(weight) / top(bits)
        divisor = torch.where(scale > 0, scale, 1.0) if safe else scale
        return rounding(weight / divisor[:, None]), scale

    return wrong


def one_scale(weight: Tensor, bits: int) -> Any:
    scale = weight.abs().max() / (2 ** (bits - 1) - 1)
    return torch.round(weight / scale), scale.expand(len(weight))


def step(
    lead: Callable[[float, float], float] = lambda last, coming: coming / (2 * last),
    clock: Callable[[float, float], float] = lambda a, s: math.log(a / s),
    end: Callable[[Tensor, Tensor], Tensor] = lambda now, before: now,
    noise: bool = True,
) -> Callable[..., Any]:
    def wrong(x: Tensor, now: Tensor, before: Tensor, alpha: Any, sigma: Any) -> Tensor:
        if sigma[2] == 0:
            aim = end(now, before)
        else:
            at = [clock(a, s) for a, s in zip(alpha, sigma, strict=True)]
            aim = now + lead(at[1] - at[0], at[2] - at[1]) * (now - before)
        return alpha[2] * aim + (sigma[2] / sigma[1] if noise else 1.0) * (x - alpha[1] * aim)

    return wrong


def judge(
    share: Callable[[float, float], float] = lambda p, q: p / q,
    stop: bool = True,
    law: Callable[[Tensor, Tensor], Tensor] = lambda p, q: (p - q).clamp(min=0) / (p - q).clamp(min=0).sum(),
    strict: bool = True,
    place: Callable[[int], int] = lambda i: i,
    end: int = -1,
) -> Callable[..., Any]:
    def wrong(p: Tensor, q: Tensor, proposed: Tensor, coins: Tensor) -> Any:
        ratio = [share(float(p[i, x]), float(q[i, x])) for i, x in enumerate(proposed)]
        fine = [float(c) < r if strict else float(c) <= r for c, r in zip(coins, ratio, strict=True)]
        kept = next((i for i, ok in enumerate(fine) if not ok), len(q)) if stop else sum(fine)
        if kept == len(q):
            return kept, p[end]
        return kept, law(p[place(kept)], q[kept])

    return wrong


def rounds(
    best: Callable[[int, int], float] = lambda n, g: -(-n // (g + 1)),
    drafted: Callable[[int, int], float] = lambda n, g: n - -(-n // (g + 1)),
    worst: Callable[[int, int], float] = lambda n, g: n,
    wasted: Callable[[int, int], float] = lambda n, g: sum(min(g, left - 1) for left in range(1, n + 1)),
) -> Callable[..., Any]:
    return lambda new, lookahead: tuple(f(new, lookahead) for f in (best, drafted, worst, wasted))


def halved(p: Tensor, q: Tensor) -> Tensor:
    return p


WRONG: list[typical.Row] = [
    ("3.10.1", one_scale, 4, "one scale for the whole matrix"),
    ("3.10.1", rows(top=lambda bits: 2 ** (bits - 1)), 4, "its largest number does not fit"),
    ("3.10.1", rows(rounding=torch.floor), 15, "rounded down"),
    ("3.10.1", rows(rounding=torch.trunc), 15, "rounded towards zero"),
    ("3.10.1", rows(safe=False), 16, "a row of zeros is divided"),
    ("3.10.1", rows(largest=lambda w: w.amax(1)), 4, "the largest weight with its sign"),
    ("3.10.1", rows(rounding=lambda x: x), 0, "nothing is rounded"),
    ("3.10.2", step(lead=lambda last, coming: last / (2 * coming)), 14, "r is upside down"),
    ("3.10.2", step(lead=lambda last, coming: coming / last), 14, "the whole step ahead"),
    ("3.10.2", step(lead=lambda last, coming: -coming / (2 * last)), 14, "the line runs backwards"),
    ("3.10.2", step(lead=lambda last, coming: 0.0), 14, "is not used"),
    ("3.10.2", step(clock=lambda a, s: math.log(a)), 14, "the picture's share alone"),
    ("3.10.2", step(end=lambda now, before: now + 0.5 * (now - before)), 19, "half-way does not exist"),
    ("3.10.2", step(end=lambda now, before: now * math.nan), 19, "no noise is left"),
    ("3.10.2", step(noise=False), 0, "kept at its old size"),
    ("3.10.3", RIGHT["judge_with_bugs"], 6, "likely mistake"),
    ("3.10.3", judge(share=lambda p, q: q / p), 6, "the ratio is upside down"),
    ("3.10.3", judge(share=lambda p, q: p), 6, "the model's probability alone"),
    ("3.10.3", judge(stop=False), 6, "tokens after a refused one are kept"),
    ("3.10.3", judge(law=lambda p, q: (p - q).clamp(min=0)), 20, "not normalised"),
    ("3.10.3", judge(law=halved), 20, "as if nothing had been proposed"),
    ("3.10.3", judge(law=lambda p, q: (p - q).abs() / (p - q).abs().sum()), 15, "absolute differences"),
    ("3.10.3", judge(strict=False), 25, "with a coin of exactly 0"),
    ("3.10.3", judge(end=-2), 24, "the law of the place before"),
    ("3.10.4", rounds(best=lambda n, g: -(-n // g)), 19, "adds itself is forgotten"),
    ("3.10.4", rounds(best=lambda n, g: n // (g + 1)), 19, "the last, shorter round"),
    ("3.10.4", rounds(drafted=lambda n, g: n), 20, "every token is drafted"),
    ("3.10.4", rounds(worst=lambda n, g: n * g), 20, "every drafted token costs a pass"),
    ("3.10.4", rounds(wasted=lambda n, g: n * g), 19, "the last rounds are not shorter"),
    ("3.10.4", lambda *_: (1, 2, 3, 4), 0, "formulas belong"),
]


def test_the_count_of_a_small_run_by_hand() -> None:
    """7 tokens, 3 ahead. Right: 3+1, then 2+1. Never right: 3, 3, 3, 3, 2, 1, 0 drafted, one token each."""
    assert _rounds(7, 3, True) == (2, 5)
    assert _rounds(7, 3, False) == (7, 15)


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    assert grade("3.10.1", rows(), seed=4) == 20
    assert grade("3.10.2", step(), seed=4) == 25
    assert grade("3.10.3", judge(), seed=4) == 30
    assert grade("3.10.4", rounds(), seed=4) == 25
