"""The tries of the lesson on watermarks: a green list, the bent distribution, z, the nats that are added, the pairs left."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from companion.ethics.watermark.green_lists import deal
from companion.exercises.tries import Try


def bent(logits: Float[Tensor, "n vocab"], green: Bool[Tensor, "n vocab"], delta: float) -> Float[Tensor, "n vocab"]:
    """The probabilities of the next token once the mark is written (eq-watermark-green)."""
    return (logits + delta * green).softmax(-1)


def z_of(green: Bool[Tensor, "pairs"], share: float) -> float:
    """Standard deviations above chance, from the colour of each counted token (eq-watermark-z)."""
    total = len(green)
    return (float(green.sum()) - share * total) / math.sqrt(total * share * (1 - share))


def added(log_p: Float[Tensor, "places vocab"], bent: Float[Tensor, "places vocab"]) -> Float[Tensor, "places"]:
    """The nats a token that the mark adds at each place, by the model's own judgement."""
    return ((log_p.exp() - bent) * log_p).sum(-1)


def pairs_left(share: float, length: int) -> float:
    """The share of pairs of neighbours that are as they were, if passages of this length are replaced."""
    inside = (length - 1) / length
    return inside * (1 - share) + (1 - inside) * (1 - share) ** 2


def _lists(g: Generator) -> list[tuple[int, int, int]]:
    seeds = torch.randint(1_000_000_000, (2,), generator=g).tolist()
    return [(seeds[0], 40, 10), (seeds[1], 60, 30)]


def _logits(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    cases = []
    for vocab, delta in ((6, 1.5), (9, 2.5)):
        green = torch.rand(2, vocab, generator=g).argsort(-1) < vocab // 3
        cases.append((torch.randn(2, vocab, generator=g), green, delta))
    return cases


def _colours(g: Generator) -> list[tuple[Tensor, float]]:
    return [(torch.rand(n, generator=g) < 0.6, share) for n, share in ((41, 0.25), (83, 0.3))]


def _laws(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(logits.log_softmax(-1), bent(logits, green, delta)) for logits, green, delta in _logits(g)]


def _shares(g: Generator) -> list[tuple[float, int]]:
    return [(0.2 + 0.5 * float(torch.rand((), generator=g)), length) for length in (4, 10)]


def _shuffled(seed: int, vocab: int) -> Tensor:
    return torch.randperm(vocab, generator=torch.Generator().manual_seed(seed))


TRIES = (
    Try(
        "3.9-watermark-1", "deal(seed, vocab, size)", deal, _lists,
        {
            "the red tokens, not the green ones": lambda seed, vocab, size: ~deal(seed, vocab, size),
            "not shuffled: the same list for every seed": lambda seed, vocab, size: torch.arange(vocab) < size,
            "the places whose number is small, not the tokens that come first":
                lambda seed, vocab, size: _shuffled(seed, vocab) < size,
            "the last tokens of the shuffle, not the first":
                lambda seed, vocab, size: ~deal(seed, vocab, vocab - size),
        },
    ),
    Try(
        "3.9-watermark-2", "bent(logits, green, delta)", bent, _logits,
        {
            "the logits, not the probabilities": lambda x, green, d: x + d * green,
            "delta is added to the probabilities: they no longer sum to one":
                lambda x, green, d: x.softmax(-1) + d * green,
            "the red tokens are raised": lambda x, green, d: bent(x, ~green, d),
            "the green logits are multiplied": lambda x, green, d: (x * torch.where(green, d, 1.0)).softmax(-1),
            "the red tokens are forbidden": lambda x, green, d: x.masked_fill(~green, -torch.inf).softmax(-1),
        },
    ),
    Try(
        "3.9-watermark-3", "z_of(green, share)", z_of, _colours,
        {
            "divided by the variance: the root is missing":
                lambda green, s: z_of(green, s) / math.sqrt(len(green) * s * (1 - s)),
            "the share of green tokens, not their number": lambda green, s: z_of(green, s) / len(green),
            "half of the tokens are expected, whatever the share":
                lambda green, s: z_of(green, s) - (0.5 - s) * len(green) / math.sqrt(len(green) * s * (1 - s)),
            "1 - share is missing below the root": lambda green, s: z_of(green, s) * math.sqrt(1 - s),
        },
    ),
    Try(
        "3.9-watermark-4", "added(log_p, bent)", added, _laws,
        {
            "the sign": lambda log_p, q: -added(log_p, q),
            "the model's own nats are not taken off": lambda log_p, q: -(q * log_p).sum(-1),
            "the bent tokens are judged by the bent distribution, too":
                lambda log_p, q: (log_p.exp() * log_p).sum(-1) - (q * q.log()).sum(-1),
            "a divergence: how well the two can be told apart": lambda log_p, q: (q * (q.log() - log_p)).sum(-1),
            "one number for all places": lambda log_p, q: added(log_p, q).mean(),
        },
    ),
    Try(
        "3.9-watermark-5", "pairs_left(share, length)", pairs_left, _shares,
        {
            "single tokens, not passages": lambda e, n: (1 - e) ** 2,
            "the borders of the passages are forgotten": lambda e, n: 1 - e,
            "inside a passage both tokens have to be lucky": lambda e, n: (1 - e) ** n,
            "a passage has one border, not two": lambda e, n: (1 - e) * (1 - 2 * e / n),
        },
    ),
)  # fmt: skip
