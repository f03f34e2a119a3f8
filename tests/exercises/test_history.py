"""Chapter 3.2's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.exercises.checking import grade
from companion.exercises.history.descent import _closure, _count
from tests.exercises import typical

RIGHT = typical.right("3_02_history")


def only_parents(builds_on: dict[str, tuple[str, ...]], name: str) -> set[str]:
    return set(builds_on[name])


def with_itself(builds_on: dict[str, tuple[str, ...]], name: str) -> set[str]:
    return RIGHT["descent"](builds_on, name) | {name}


def two_generations(builds_on: dict[str, tuple[str, ...]], name: str) -> set[str]:
    return {old for parent in builds_on[name] for old in builds_on[parent]} | set(builds_on[name])


def every_path(builds_on: dict[str, tuple[str, ...]], name: str) -> set[str]:
    found = set()
    for parent in builds_on[name]:
        found |= {parent} | every_path(builds_on, parent)
    return found


def children(builds_on: dict[str, tuple[str, ...]], name: str) -> set[str]:
    return {other for other in builds_on if name in RIGHT["descent"](builds_on, other)}


def price(
    forward: Callable[[int, int, int], int] = lambda a, b, n: 2 * a * b * n,
    backward: Callable[[int, int], int] = lambda all, first: 2 * all - first,
    steps: Callable[[float, int, int], float] = lambda budget, f, b: budget // (f + b),
) -> Callable[..., Any]:
    def wrong(sizes: tuple[int, ...], batch: int, budget: float) -> Any:
        layers = [forward(a, b, batch) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        f = sum(layers)
        b = backward(f, layers[0])
        return f, b, steps(budget, f, b)

    return wrong


def bits(
    finish: Callable[[Tensor, int], Tensor] = lambda nats, pixels: nats.sum(1) / pixels / math.log(2),
    softmax: bool = True,
    shift: int = 0,
) -> Callable[..., Tensor]:
    def wrong(logits: Tensor, letters: Tensor, pixels: int) -> Tensor:
        log_p = logits.log_softmax(-1) if softmax else logits
        n = letters.shape[1] - shift
        return finish(-log_p[:, :n].gather(2, letters[:, shift:, None])[..., 0], pixels)

    return wrong


def variety(
    keep: bool = True,
    shares: Callable[[Tensor, int], Tensor] = lambda clear, n: (
        torch.bincount(clear.argmax(1), minlength=10) / len(clear)
    ),
    entropy: Callable[[Tensor], Tensor] = lambda p: -torch.special.xlogy(p, p).sum(),
    finish: Callable[[float], float] = math.exp,
    empty: float = 0.0,
) -> Callable[..., float]:
    def wrong(chances: Tensor, threshold: float) -> float:
        clear = chances[chances.amax(1) > threshold] if keep else chances
        return finish(float(entropy(shares(clear, len(chances)).double()))) if len(clear) else empty

    return wrong


WRONG: list[typical.Row] = [
    ("3.2.1", only_parents, 10, "parents only"),
    ("3.2.1", two_generations, 10, "parents and grandparents only"),
    ("3.2.1", with_itself, 22, "the name itself is counted"),
    ("3.2.1", every_path, 19, "every path is walked"),
    ("3.2.1", children, 4, "children are followed"),
    ("3.2.2", price(forward=lambda a, b, n: a * b * n), 4, "one multiplication and one addition"),
    ("3.2.2", price(forward=lambda a, b, n: 2 * a * b), 4, "the batch is forgotten"),
    ("3.2.2", price(backward=lambda all, first: 2 * all), 10, "nobody asks for the data's gradient"),
    ("3.2.2", price(backward=lambda all, first: all), 10, "backward costs more than forward"),
    ("3.2.2", price(steps=lambda budget, f, b: budget / (f + b)), 18, "a part of a step is no step"),
    ("3.2.2", lambda *_: (1, 2, 3), 0, "formulas belong"),
    ("3.2.3", bits(lambda nats, pixels: nats.sum(1) / pixels), 0, "nats, not bits"),
    ("3.2.3", bits(lambda nats, pixels: nats.mean(1) / math.log(2)), 0, "for a letter, not for a pixel"),
    ("3.2.3", bits(lambda nats, pixels: nats.mean(1) / pixels / math.log(2)), 0, "divided by the pixels as well"),
    ("3.2.3", bits(softmax=False), 0, "logits taken for log-probabilities"),
    ("3.2.3", bits(shift=1), 0, "shifted once more (I33)"),
    ("3.2.4", RIGHT["variety_with_bugs"], 0, "0 · log 0"),
    ("3.2.4", variety(keep=False), 8, "doubtful samples are counted"),
    ("3.2.4", variety(shares=lambda clear, n: clear.mean(0)), 6, "the mean of the chances"),
    ("3.2.4", variety(entropy=lambda p: -(p * p.log()).sum()), 6, "0 · log 0"),
    ("3.2.4", variety(finish=lambda h: h), 6, "not a number of digits"),
    ("3.2.4", variety(finish=lambda h: 2**h), 6, "2 and the natural logarithm"),
    ("3.2.4", variety(empty=1.0), 20, "one digit where there is none"),
]


def test_the_price_of_a_small_network_by_hand() -> None:
    """3 → 2 → 1 on a batch of 5: forward 2·5·(6 + 2); backward weights the same, inputs only of the second layer."""
    assert _count((3, 2, 1), 5) == (80, 80 + 20)


def test_descent_of_a_small_table_by_hand() -> None:
    table = {"c": ("b",), "a": (), "b": ("a",), "d": ("a", "c")}
    assert _closure(table, 4) == {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a", "b", "c"}}


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    assert grade("3.2.2", price(), seed=4) == 24
    assert grade("3.2.3", bits(), seed=4) == 24
    assert grade("3.2.4", variety(), seed=4) == 26
