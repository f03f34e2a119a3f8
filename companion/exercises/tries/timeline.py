"""The tries of the timeline: counted letters, a kept store, looking back, a shortcut, a small step of a sampler."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def chance(text: str, context: str, letter: str) -> float:
    """How often the letter follows the context in the text, as a share of all that follows it (eq-timeline-order)."""
    return text.count(context + letter) / text.count(context)


def store(c: Tensor, f: Tensor, i: Tensor, g: Tensor) -> Tensor:
    """The store of an LSTM after a step: what is kept, and what is let in (eq-timeline-carousel)."""
    return f * c + i * g


def look_back(asked: Tensor, states: Tensor) -> Tensor:
    """For each row of ``asked``, the mean of the states, weighted by a softmax of their products (eq-timeline-look)."""
    return (asked @ states.T).softmax(-1) @ states


def shortcut(h: Tensor, weight: Tensor) -> Tensor:
    """A layer that adds to its input (eq-timeline-residual)."""
    return h + (h @ weight.T).relu()


def less_noise(x_t: Tensor, x0: Tensor, now: tuple[float, float], then: tuple[float, float]) -> Tensor:
    """From the guess x0 of the data, the point at a lower level of noise (eq-timeline-steps).

    Args:
        now: alpha and sigma of x_t.
        then: alpha and sigma of the answer.
    """
    eps = (x_t - now[0] * x0) / now[1]
    return then[0] * x0 + then[1] * eps


def _texts(g: Generator) -> list[tuple[str, str, str]]:
    found = []
    for context, letter, other in (("ab", "c", "d"), ("xy", "z", "a")):
        hits, misses = (int(n) for n in torch.randint(2, 6, (2,), generator=g))
        text = f"{context}{letter}." * hits + f"{context}{other}." * misses + f"{letter}{context}{other}-"
        found.append((text, context, letter))
    return found


def _stores(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(n, generator=g), *torch.rand(2, n, generator=g), torch.randn(n, generator=g)) for n in (3, 6)]


def _states(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(m, d, generator=g), torch.randn(n, d, generator=g)) for m, n, d in ((2, 4, 3), (3, 5, 2))]


def _layers(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(n, d, generator=g), torch.randn(d, d, generator=g)) for n, d in ((4, 3), (3, 5))]


def _noised(g: Generator) -> list[tuple[Tensor | tuple[float, float], ...]]:
    return [
        (*torch.randn(2, n, 2, generator=g), (a, (1 - a * a) ** 0.5), (b, (1 - b * b) ** 0.5))
        for n, a, b in ((3, 0.5, 0.8), (4, 0.2, 0.6))
    ]


TRIES = (
    Try(
        "3.2-timeline-1", "chance(text, context, letter)", chance, _texts,
        {
            "a share of the whole text, not of the places after the context":
                lambda t, c, x: t.count(c + x) / len(t),
            "a count, not a share": lambda t, c, x: float(t.count(c + x)),
            "the context is ignored": lambda t, c, x: t.count(x) / len(t),
            "the letter before the context": lambda t, c, x: t.count(x + c) / t.count(c),
        },
    ),
    Try(
        "3.2-timeline-2", "store(c, f, i, g)", store, _stores,
        {
            "a plain cell: written over, nothing is kept": lambda c, f, i, g: i * g,
            "all that is new comes in: no gate": lambda c, f, i, g: f * c + g,
            "the gates are exchanged": lambda c, f, i, g: store(c, i, f, g),
            "f is what is forgotten, not what is kept": lambda c, f, i, g: store(c, 1 - f, i, g),
        },
    ),
    Try(
        "3.2-timeline-3", "look_back(asked, states)", look_back, _states,
        {
            "the scores are not made to shares": lambda q, h: q @ h.T @ h,
            "shares over the questions, not over the states": lambda q, h: (q @ h.T).softmax(0) @ h,
            "the plain mean of the states": lambda q, h: h.mean(0).expand_as(q),
            "the last state alone: one vector": lambda q, h: h[-1].expand_as(q),
        },
    ),
    Try(
        "3.2-timeline-4", "shortcut(h, weight)", shortcut, _layers,
        {
            "no shortcut: the input is replaced": lambda h, w: (h @ w.T).relu(),
            "the sum inside the relu": lambda h, w: (h + h @ w.T).relu(),
            "without the relu": lambda h, w: h + h @ w.T,
            "the weights are not transposed": lambda h, w: h + (h @ w).relu(),
        },
    ),
    Try(
        "3.2-timeline-5", "less_noise(x_t, x0, now, then)", less_noise, _noised,
        {
            "the whole way: the guess itself": lambda x, x0, now, then: x0.clone(),
            "the noise of x_t is kept in full": lambda x, x0, now, then: then[0] * x0 + (x - now[0] * x0),
            "the data are not scaled": lambda x, x0, now, then: less_noise(x, x0, now, (1.0, then[1])),
            "the noise is read from x_t without its scale":
                lambda x, x0, now, then: then[0] * x0 + then[1] * (x - x0),
        },
    ),
)  # fmt: skip
