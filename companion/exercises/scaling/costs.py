"""The checks of exercise 3.8.1: the operations of a training, counted.

Right values are those of `companion.scaling.flops`, which its tests hold to torch's own count of a model. Each part is
judged by what changes when one size changes, relative to the factor (of going backward, say) that the student's other
parts have, so that one mistake loses one property.
"""

import statistics

import torch
from torch import Generator

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property
from companion.scaling.flops import training_flops
from companion.text.llama import LlamaConfig

PARTS = ("kv_heads", "context", "hidden", "vocab_size")


def _drawn(g: Generator) -> dict[str, int]:
    def one(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=g))

    heads = 2 * one(1, 4)
    return {
        "width": heads * 2 * one(3, 7),
        "layers": one(2, 5),
        "heads": heads,
        "kv_heads": heads,
        "hidden": 4 * one(10, 30),
        "context": one(20, 50),
        "vocab_size": one(60, 120),
    }


def _changed(sizes: dict[str, int], part: str) -> dict[str, int]:
    new = {"kv_heads": 1, "context": sizes["context"] + 9, "hidden": sizes["hidden"] + 12, "vocab_size": 140}
    return {**sizes, part: new[part] if part in new else sizes[part] + 1}


def _counted(sizes: dict[str, int]) -> float:
    """Operations for one token of a training."""
    return float(training_flops(LlamaConfig(**sizes), 1))


def _differences(answer: Answer, sizes: dict[str, int], parts: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """How much the count for one token changes with each part: as got, and as a share of what it should be."""
    base, true = answer.number(*sizes.values(), 1000) / 1000, _counted(sizes)
    changes, ratios = [], []
    for part in parts:
        other = _changed(sizes, part)
        change = answer.number(*other.values(), 1000) / 1000 - base
        changes.append(change)
        ratios.append(change / (_counted(other) - true))
    return changes, ratios


def _factor(answer: Answer, sizes: dict[str, int]) -> float:
    """By what all parts are off together: 1 if nothing is."""
    factor = statistics.median(_differences(answer, sizes, PARTS)[1])
    if factor <= 0:
        raise Wrong("the count does not grow with the sizes of the model", "a number where a formula belongs")
    return factor


def _near(a: float, b: float) -> bool:
    return abs(a - b) < 0.004 * abs(b) + 1e-9


def _tokens(answer: Answer, g: Generator) -> str:
    sizes = _drawn(g)
    few, many = (answer.number(*sizes.values(), tokens) for tokens in (100, 700))
    if few > 0 and _near(many / few, 7) and not _near(few, answer.number(*_changed(sizes, "hidden").values(), 100)):
        return "seven times the tokens cost seven times as much"
    raise Wrong("seven times the tokens do not cost seven times as much", "the number of tokens")


def _passes(answer: Answer, g: Generator) -> str:
    factor = _factor(answer, _drawn(g))
    if _near(factor, 1):
        return "forward and backward"
    mistakes = {
        "the forward pass alone": 1 / 3,
        "the way back counted as one forward pass, where it takes two": 2 / 3,
        "a multiplication without its addition": 1 / 2,
        "multiplications alone, and forward alone": 1 / 6,
    }
    name = next((name for name, value in mistakes.items() if _near(factor, value)), "")
    raise Wrong(f"everything is {factor:.3g} times what torch counts", name)


def _part(part: str, fine: str, mistakes: dict[str, float]) -> Property:
    """One size alone is changed; ``mistakes`` are ratios to the right change."""
    points = {"kv_heads": 4, "context": 4, "hidden": 3, "vocab_size": 3}[part]

    def test(answer: Answer, g: Generator) -> str:
        sizes = _drawn(g)
        ratio = _differences(answer, sizes, (part,))[1][0] / _factor(answer, sizes)
        if _near(ratio, 1):
            return fine
        name = next((name for name, value in mistakes.items() if _near(ratio, value)), "")
        raise Wrong(f"with another {part} the count changes {ratio:.3g} times as much as it should", name)

    names = {
        "kv_heads": "keys and values of fewer heads",
        "context": "attention over the context",
        "hidden": "the gated MLP",
        "vocab_size": "the logits",
    }
    return Property(names[part], points, test)


EXERCISES = (
    Exercise(
        "3.8.1",
        "operations(width, layers, heads, kv_heads, hidden, context, vocab_size, tokens)",
        (
            Property("in proportion to the tokens", 2, _tokens),
            Property("forward and backward", 4, _passes),
            _part(
                "kv_heads",
                "two narrow maps",
                {
                    "the keys' and values' maps taken as wide as the queries'": 0.0,
                    "only the keys' map is narrow": 0.5,
                },
            ),
            _part(
                "context",
                "scores and means of values",
                {
                    "attention's own products are missing": 0.0,
                    "the scores or the means of values alone, or the visible half": 0.5,
                },
            ),
            _part("hidden", "three maps", {"two maps in the MLP, where a gated one has three": 2 / 3}),
            _part(
                "vocab_size",
                "one map",
                {
                    "the map to the logits is missing": 0.0,
                    "the table of tokens counted twice: looking up multiplies nothing": 2.0,
                },
            ),
        ),
    ),
)
