"""The tries of the lesson on GPT: the loss of a text, a block's two lines, the targets, the draw of a token."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from companion.exercises.tries import Try

Part = Callable[[Tensor], Tensor]


def mean_nats(chances: list[float]) -> float:
    """The loss of a text, in nats a token, from the probabilities that a model gave to what came."""
    return -sum(math.log(p) for p in chances) / len(chances)


def block(h: Tensor, attention: Part, mlp: Part, norm: Part, norm_again: Part) -> Tensor:
    """A block of GPT-2: what each half finds is added to the stream."""
    h = h + attention(norm(h))
    return h + mlp(norm_again(h))


def targets(ids: Tensor) -> tuple[Tensor, Tensor]:
    """What a model reads and what it has to predict at each place, from passages of one token more."""
    return ids[:, :-1], ids[:, 1:]


def chances(logits: Tensor, temperature: float) -> Tensor:
    """The probabilities of the next token, from the logits of all places."""
    return (logits[:, -1] / temperature).softmax(-1)


def _texts(g: Generator) -> list[tuple[list[float]]]:
    return [((0.05 + 0.9 * torch.rand(n, generator=g)).tolist(),) for n in (2, 5, 9)]


def _streams(g: Generator) -> list[tuple[Tensor | nn.Module, ...]]:
    def parts(width: int) -> tuple[nn.Module, ...]:
        return nn.Linear(width, width), nn.Linear(width, width), nn.LayerNorm(width), nn.RMSNorm(width)

    return [(torch.randn(2, n, width, generator=g), *parts(width)) for n, width in ((3, 4), (5, 8))]


def _passages(g: Generator) -> list[tuple[Tensor]]:
    return [(torch.randint(50, (batch, n), generator=g),) for batch, n in ((1, 3), (4, 7))]


def _logits(g: Generator) -> list[tuple[Tensor, float]]:
    return [(torch.randn(2, n, 7, generator=g), t) for n, t in ((3, 0.5), (5, 1.0), (2, 2.0))]


TRIES = (
    Try(
        "3.4-gpt-1", "mean_nats(chances)", mean_nats, _texts,
        {
            "bits, not nats": lambda p: mean_nats(p) / math.log(2),
            "the sign": lambda p: -mean_nats(p),
            "the sum, not the mean": lambda p: mean_nats(p) * len(p),
            "the logarithm of the mean, not the mean of the logarithms": lambda p: -math.log(sum(p) / len(p)),
        },
    ),
    Try(
        "3.4-gpt-2", "block(h, attention, mlp, norm, norm_again)", block, _streams,
        {
            "nothing is added: the stream is overwritten": lambda h, a, m, n, o: m(o(a(n(h)))),
            "the second half reads the stream from before the first": lambda h, a, m, n, o: h + a(n(h)) + m(o(h)),
            "the norm after the sum, as in 2017": lambda h, a, m, n, o: o(n(h + a(h)) + m(n(h + a(h)))),
            "the halves without their norms": lambda h, a, m, n, o: h + a(h) + m(h + a(h)),
            "one norm used twice": lambda h, a, m, n, o: block(h, a, m, n, n),
        },
    ),
    Try(
        "3.4-gpt-3", "targets(ids)", targets, _passages,
        {
            "not shifted: the answer stands in the input": lambda ids: (ids[:, :-1], ids[:, :-1]),
            "shifted the wrong way: the past is predicted": lambda ids: (ids[:, 1:], ids[:, :-1]),
            "the rows are cut, not the places": lambda ids: (ids[:-1], ids[1:]),
        },
    ),
    Try(
        "3.4-gpt-4", "chances(logits, temperature)", chances, _logits,
        {
            "multiplied by the temperature": lambda x, t: (x[:, -1] * t).softmax(-1),
            "the first place, not the last": lambda x, t: (x[:, 0] / t).softmax(-1),
            "of every place, not of the last": lambda x, t: (x / t).softmax(-1),
            "divided after the softmax": lambda x, t: x[:, -1].softmax(-1) / t,
            "softmax over the texts, not over the tokens": lambda x, t: (x[:, -1] / t).softmax(0),
        },
    ),
)  # fmt: skip
