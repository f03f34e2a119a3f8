"""Chapter 3.8's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.checking import grade
from tests.exercises import typical

RIGHT = typical.right("3_08_scaling")


def operations(
    passes: float = 3, per: float = 2, narrow: int = 2, attention: float = 2, maps: int = 3, tables: int = 1
) -> Callable[..., Any]:
    """``narrow``: how many of the keys' and values' maps are narrower than the queries'."""

    def wrong(w: int, layers: int, heads: int, kv: int, hidden: int, n: int, v: int, tokens: int) -> float:
        small = w * w * kv / heads
        block = 2 * w * w + narrow * small + (2 - narrow) * w * w + attention * n * w + maps * w * hidden
        return passes * per * (layers * block + tables * w * v) * tokens

    return wrong


def split(
    n_power: Callable[[float, float], float] = lambda a, b: b / (a + b),
    g: Callable[..., float] = lambda A, a, B, b: (a * A / (b * B)) ** (1 / (a + b)),
    k: float = 6,
) -> Callable[..., Any]:
    def wrong(E: float, A: float, alpha: float, B: float, beta: float, compute: float) -> tuple[float, float]:
        pairs = compute / k
        n = g(A, alpha, B, beta) * pairs ** n_power(alpha, beta)
        return n, pairs / n

    return wrong


def objective(
    exponent: int = 3,
    compare: Callable[[Tensor], Tensor] = torch.log,
    huber: Callable[..., Tensor] = F.huber_loss,
    reduction: str = "sum",
) -> Callable[..., Any]:
    def wrong(theta: Tensor, n: Tensor, d: Tensor, losses: Tensor, delta: float) -> Tensor:
        law = (theta[0] - theta[1] * n.log()).exp() + (theta[2] - theta[exponent] * d.log()).exp() + theta[4].exp()
        return huber(compare(law), compare(losses), delta=delta, reduction=reduction)

    return wrong


def squares(x: Tensor, y: Tensor, delta: float, reduction: str) -> Tensor:
    return 0.5 * (x - y).square().sum()


def absolute(x: Tensor, y: Tensor, delta: float, reduction: str) -> Tensor:
    return delta * (x - y).abs().sum()


def growth(change: Callable[[float, float, float, list[float]], list[float]]) -> Callable[..., Any]:
    def wrong(alpha: float, beta: float, factor: float) -> tuple[float, ...]:
        total = alpha + beta
        right = [factor ** (beta / total), factor ** (alpha / total)]
        right += [right[1] / right[0], right[0] ** -alpha]
        return tuple(change(alpha, beta, factor, right))

    return wrong


def serve(
    weight: float = 2, used: bool = True, room: Callable[[float, float], float] = lambda loss, E: loss - E
) -> Callable[..., Any]:
    def wrong(
        E: float, A: float, alpha: float, B: float, beta: float, loss: float, served: float
    ) -> tuple[float, float]:
        left = room(loss, E)
        n = (math.log(A / left) / alpha + torch.logspace(-5, 1.1, 30_001, dtype=torch.float64)).exp()
        d = (B / (left - A / n**alpha)) ** (1 / beta)
        best = int((6 * n * d + weight * n * (served if used else 0)).argmin())
        return float(n[best]), float(d[best])

    return wrong


def too_large(*inputs: float) -> tuple[float, float]:
    """Ten times the least bill's size, with the data that the promise then asks for."""
    E, A, alpha, B, beta, loss, _ = inputs
    n = 10 * serve()(*inputs)[0]
    return n, (B / (loss - E - A / n**alpha)) ** (1 / beta)


WRONG: list[typical.Row] = [
    ("3.8.1", operations(passes=1), 16, "the forward pass alone"),
    ("3.8.1", operations(passes=2), 16, "where it takes two"),
    ("3.8.1", operations(per=1), 16, "without its addition"),
    ("3.8.1", operations(narrow=0), 16, "as wide as the queries'"),
    ("3.8.1", operations(narrow=1), 16, "only the keys' map"),
    ("3.8.1", operations(attention=0), 16, "own products are missing"),
    ("3.8.1", operations(attention=1), 16, "visible half"),
    ("3.8.1", operations(maps=2), 17, "gated one has three"),
    ("3.8.1", operations(tables=0), 17, "logits is missing"),
    ("3.8.1", operations(tables=2), 17, "counted twice"),
    ("3.8.2", split(n_power=lambda a, b: a / (a + b)), 4, "swapped"),
    ("3.8.2", split(g=lambda *_: 1.0), 10, "G is missing"),
    ("3.8.2", split(g=lambda A, a, B, b: (b * B / (a * A)) ** (1 / (a + b))), 10, "turned over"),
    ("3.8.2", split(g=lambda A, a, B, b: (A / B) ** (1 / (a + b))), 10, "slopes are equal"),
    ("3.8.2", split(k=1), 15, "without the six"),
    ("3.8.2", split(n_power=lambda a, b: 0.5, g=lambda *_: 1.0), 4, "rule of thumb"),
    ("3.8.3", RIGHT["objective_with_bugs"], 0, "look at each letter"),
    ("3.8.3", objective(exponent=1), 13, "look at each letter"),
    ("3.8.3", objective(compare=lambda x: x), 6, "not their logarithms"),
    ("3.8.3", objective(reduction="mean"), 6, "the mean over the runs"),
    ("3.8.3", objective(huber=squares), 13, "without the straight part"),
    ("3.8.3", objective(huber=absolute), 6, "absolute error"),
    ("3.8.4", growth(lambda a, b, f, r: [r[1], r[0], r[2], r[3]]), 11, "swapped"),
    ("3.8.4", growth(lambda a, b, f, r: [f**0.5, f**0.5, 1.0, r[3]]), 7, "taken for a constant"),
    ("3.8.4", growth(lambda a, b, f, r: [r[0], r[1], 1 / r[2], r[3]]), 16, "ratio is turned over"),
    ("3.8.4", growth(lambda a, b, f, r: [*r[:3], f**-a]), 15, "one part alone"),
    ("3.8.4", growth(lambda a, b, f, r: [*r[:3], 1 / r[3]]), 15, "leaves less"),
    ("3.8.4", lambda *_: (2.0, 5.0, 2.5, 0.7), 0, "formulas in alpha"),
    ("3.8.5", serve(used=False), 11, "as if nothing were served"),
    ("3.8.5", serve(weight=6), 14, "forward and backward"),
    ("3.8.5", serve(room=lambda loss, E: loss), 3, "left above E"),
    ("3.8.5", too_large, 8, "of this compute reaches the loss"),
]  # fmt: skip


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    """Other algorithms: torch's Huber loss, a coarser search, formulas written out."""
    assert grade("3.8.1", operations(), seed=4) == 20
    assert grade("3.8.2", split(), seed=4) == 19
    assert grade("3.8.3", objective(), seed=4) == 19
    assert grade("3.8.4", growth(lambda a, b, f, r: r), seed=4) == 20
    assert grade("3.8.5", serve(), seed=4) == 22
