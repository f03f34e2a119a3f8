"""The checks of exercises 3.2.1 and 3.2.2: lines of descent, and what an update costs.

Descent is judged by powers of the matrix of parents, an update's operations by PyTorch's own count.
"""

import functools
from collections.abc import Callable

import torch
from torch import Generator, nn
from torch.utils.flop_counter import FlopCounterMode

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare_numbers, depends_on, same, sizes


def _history(g: Generator, count: int = 9, share: float = 0.35) -> dict[str, tuple[str, ...]]:
    """Random names, each with some of the earlier ones as parents; listed in an order that says nothing."""
    names = [f"idea {number}" for number in torch.randperm(90, generator=g)[:count].tolist()]
    drawn = torch.rand(count, count, generator=g) < share
    drawn[range(1, count), range(count - 1)] |= torch.rand(count - 1, generator=g) < 0.6
    table = {names[i]: tuple(names[j] for j in range(i) if drawn[i, j]) for i in range(count)}
    return {names[i]: table[names[i]] for i in torch.randperm(count, generator=g).tolist()}


def _closure(table: dict[str, tuple[str, ...]], powers: int) -> dict[str, set[str]]:
    """For each name, who is reached by up to so many steps to a parent: sums of powers of the matrix of parents."""
    names = list(table)
    parents = torch.tensor([[float(b in table[a]) for b in names] for a in names])
    reached, step = torch.zeros_like(parents), torch.eye(len(names))
    for _ in range(powers):
        step = ((step @ parents) > 0).to(parents)
        reached += step
    return {
        a: {b for b, r in zip(names, row.tolist(), strict=True) if r} for a, row in zip(names, reached, strict=True)
    }


def _names(answer: Answer, table: dict[str, tuple[str, ...]], name: str) -> set[str]:
    result = answer(table, name)
    if not isinstance(result, set):
        raise Wrong(f"got {type(result).__name__}, wanted a set of names")
    return result


def _parents(answer: Answer, g: Generator) -> str:
    table = _history(g)
    name = max(table, key=lambda one: len(table[one]))
    missing = set(table[name]) - _names(answer, table, name)
    if missing:
        raise Wrong(f"{len(missing)} of {len(table[name])} parents are missing", "children are followed, not parents")
    return "they are there"


def _all(answer: Answer, g: Generator) -> str:
    table = _history(g)
    full, near, two = (_closure(table, powers) for powers in (len(table), 1, 2))
    children = {name: {other for other, line in full.items() if name in line} for name in table}
    for name in sorted(table, key=lambda one: -len(full[one] - two[one])):
        got = _names(answer, table, name) - {name}
        same(got, full[name], {
            "parents only": near[name], "parents and grandparents only": two[name],
            "children are followed, not parents": children[name],
        })  # fmt: skip
    return "for every name"


def _itself(answer: Answer, g: Generator) -> str:
    table = _history(g)
    if any(name in _names(answer, table, name) for name in table):
        raise Wrong("a name is among its own ancestors", "the name itself is counted")
    return "as it should be"


def _ladder(answer: Answer, g: Generator) -> str:
    """Thirty generations of two, each building on both of the last: a thousand million paths, sixty ancestors."""
    table: dict[str, tuple[str, ...]] = {"a0": (), "b0": ()}
    for i in range(1, 31):
        for letter in "ab":
            table[f"{letter}{i}"] = (f"a{i - 1}", f"b{i - 1}")
    try:
        got = _names(answer, table, "a30")
    except Wrong as wrong:
        raise Wrong(wrong.what, "every path is walked, where every name would do") from wrong
    return same(got - {"a30"}, set(table) - {"a30", "b30"}, {"parents only": {"a29", "b29"}})


@functools.cache
def _count(layers: tuple[int, ...], batch: int) -> tuple[int, int]:
    """What PyTorch counts in one pass forward and one backward through linear layers with ReLU between them."""
    parts: list[nn.Module] = []
    for inputs, outputs in zip(layers[:-1], layers[1:], strict=True):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    net, x = nn.Sequential(*parts[:-1]), torch.zeros(batch, layers[0])
    with FlopCounterMode(display=False) as forward:
        loss = net(x).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


def _networks(g: Generator) -> list[tuple[tuple[int, ...], int, float]]:
    found = []
    for _ in range(2):
        *layers, batch = (3 * size for size in sizes(g, 5, low=3, high=12))
        forward, backward = _count(tuple(layers), batch)
        found.append(
            (tuple(layers), batch, float(int((forward + backward) * (17.6 + 5 * torch.rand(1, generator=g).item()))))
        )
    return found


def _cost(which: int) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        for layers, batch, budget in _networks(g):
            forward, backward = _count(layers, batch)
            weights = forward // (2 * batch)
            mistakes = (
                {
                    "a product is one multiplication and one addition": forward // 2,
                    "the batch is forgotten": forward // batch,
                },
                {
                    "backward is twice forward for all layers, but nobody asks for the data's gradient": 2 * forward,
                    "backward costs more than forward": forward,
                    "a product is one multiplication and one addition": backward // 2,
                    "the batch is forgotten": backward // batch,
                },
                {
                    "the rule 6 N for every layer": budget // (6 * weights * batch),
                    "the forward pass alone": budget // forward,
                    "a part of a step is no step": budget / (forward + backward),
                },
            )[which]
            wanted = (forward, backward, budget // (forward + backward))[which]
            compare_numbers(answer.numbers(layers, batch, budget, count=3)[which], wanted, mistakes, rel=1e-9)
        return "exactly"

    return test


EXERCISES = (
    Exercise(
        "3.2.1",
        "descent(builds_on, name)",
        (
            Property("parents are ancestors", 6, _parents),
            Property("all ancestors, and nobody else", 9, _all),
            Property("nobody descends from itself", 4, _itself),
            Property("many paths take no longer", 7, _ladder),
        ),
    ),
    Exercise(
        "3.2.2",
        "predict(sizes, batch, budget)",
        (
            Property("three numbers that depend on the network", 4, depends_on(_networks, 3)),
            Property("operations forward", 6, _cost(0), after=True),
            Property("operations backward", 8, _cost(1), after=True),
            Property("updates for the budget", 6, _cost(2), after=True),
        ),
    ),
)
