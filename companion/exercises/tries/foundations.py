"""The tries of the chapter on foundations: the loss in bits, independent coins, a hidden cause, the pixels before."""

import math

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def bits(log_prob: Tensor) -> Tensor:
    """The mean code length, from log-probabilities in nats."""
    return -log_prob.mean() / math.log(2)


def coins_log_prob(x: Tensor, p: Tensor) -> Tensor:
    """Of black-and-white images, whose pixels are independent."""
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(1)


def sum_over_causes(log_weights: Tensor, log_p: Tensor) -> Tensor:
    """The log-probability of each example, whatever its cause."""
    return (log_weights + log_p).logsumexp(1)


def from_the_past(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The logit of each pixel, from those before it."""
    return x @ weight.tril(-1).T + bias


def _log_probs(g: Generator) -> list[tuple[Tensor]]:
    return [(-1 - 5 * torch.rand(n, generator=g),) for n in (3, 8)]


def _images(g: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for n, d in ((3, 4), (5, 7)):  # each image has black and white pixels
        x = (torch.rand(n, d, generator=g) < 0.5).float()
        x[:, 0], x[:, 1] = 0.0, 1.0
        found.append((x, 0.1 + 0.3 * torch.rand(d, generator=g)))
    return found


def _causes(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (torch.randn(k, generator=g).log_softmax(0), -3 * torch.rand(n, k, generator=g)) for n, k in ((4, 3), (6, 2))
    ]


def _rows(g: Generator) -> list[tuple[Tensor, ...]]:
    found = []
    for n, d in ((3, 4), (2, 6)):
        x = (torch.rand(n, d, generator=g) < 0.5).float()
        x[0, :3] = 1.0
        found.append((x, 0.2 + torch.rand(d, d, generator=g), torch.randn(d, generator=g)))
    return found


TRIES = (
    Try(
        "3.3-foundations-1", "bits(log_prob)", bits, _log_probs,
        {
            "nats, not bits": lambda p: -p.mean(),
            "the sign": lambda p: p.mean() / math.log(2),
            "the sum, not the mean": lambda p: -p.sum() / math.log(2),
            "the logarithm of the mean, not the mean of the logarithms": lambda p: -p.exp().mean().log2(),
        },
    ),
    Try(
        "3.3-foundations-2", "coins_log_prob(x, p)", coins_log_prob, _images,
        {
            "only the white pixels count": lambda x, p: (x * p.log()).sum(1),
            "black and white exchanged": lambda x, p: coins_log_prob(x, 1 - p),
            "the mean over the pixels, not the sum": lambda x, p: coins_log_prob(x, p) / x.shape[1],
            "the probability, not its logarithm": lambda x, p: coins_log_prob(x, p).exp(),
        },
    ),
    Try(
        "3.3-foundations-3", "sum_over_causes(log_weights, log_p)", sum_over_causes, _causes,
        {
            "the weights of the causes are left out": lambda w, p: p.logsumexp(1),
            "the mean of the logarithms, not the logarithm of the mean": lambda w, p: (w.exp() * p).sum(1),
            "only the most probable cause": lambda w, p: (w + p).amax(1),
            "the probability, not its logarithm": lambda w, p: (w + p).exp().sum(1),
        },
    ),
    Try(
        "3.3-foundations-4", "from_the_past(x, weight, bias)", from_the_past, _rows,
        {
            "each pixel sees itself: the diagonal is kept": lambda x, w, b: x @ w.tril().T + b,
            "each pixel sees the whole image": lambda x, w, b: x @ w.T + b,
            "from the future: the wrong triangle": lambda x, w, b: x @ w.triu(1).T + b,
            "not transposed: column and row exchanged": lambda x, w, b: x @ w.tril(-1) + b,
        },
    ),
)  # fmt: skip
