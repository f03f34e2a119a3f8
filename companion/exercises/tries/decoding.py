"""The tries of the lesson on decoding: the greedy choice, top-p, variety, the repetition penalty."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from companion.exercises.tries import Try


def choose(logits: Float[Tensor, "texts places tokens"]) -> Int[Tensor, "texts"]:
    """The likeliest next token of each text."""
    return logits[:, -1].argmax(-1)


def keeps(p: Float[Tensor, "tokens"], mass: float) -> Bool[Tensor, "tokens"]:
    """Which tokens top-p keeps: those for which the more probable ones together hold less than the mass."""
    above = (p * (p > p[:, None])).sum(1)
    return above < mass


def variety(tokens: list[int], n: int) -> float:
    """The share of different runs among all runs of n tokens in a row."""
    runs = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(runs)) / len(runs)


def penalise(logits: Float[Tensor, "tokens"], seen: Bool[Tensor, "tokens"], theta: float) -> Float[Tensor, "tokens"]:
    """The logits, those of seen tokens lowered by a factor theta."""
    lower = torch.where(logits > 0, logits / theta, logits * theta)
    return torch.where(seen, lower, logits)


def _fewest(p: Tensor, mass: float) -> int:
    return int(keeps(p, mass).sum())


def _best(p: Tensor, count: int) -> Tensor:
    return p >= p.topk(count).values[-1]


def _logits(g: Generator) -> list[tuple[Tensor]]:
    return [(torch.randn(batch, n, 40, generator=g),) for batch, n in ((4, 3), (3, 5))]


def _distributions(g: Generator) -> list[tuple[Tensor, float]]:
    found = []
    for tokens, last in ((7, 2), (9, 3)):  # the token at place `last` carries the sum across the mass
        p = torch.randn(tokens, generator=g).softmax(-1)
        falling = p.sort(descending=True).values
        found.append((p, float(falling[: last + 1].sum() - 0.4 * falling[last])))
    return found


def _texts(g: Generator) -> list[tuple[list[int], int]]:
    """A phrase, the same phrase, something else: some runs of n tokens recur, and most do not."""
    found = []
    for n in (2, 3):
        a = (10 + torch.randperm(60, generator=g)[:14]).tolist()
        found.append(([*a[:5], *a[:5], *a[5:], a[0]], n))
    return found


def _penalised(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    found = []
    for theta in (1.3, 2.0):
        logits = (0.5 + torch.rand(8, generator=g)) * torch.tensor([1, -1] * 4)
        found.append((logits, torch.arange(8) < 4, theta))
    return found


TRIES = (
    Try(
        "3.4-decoding-1", "choose(logits)", choose, _logits,
        {
            "the first place, not the last": lambda x: x[:, 0].argmax(-1),
            "the least likely token": lambda x: x[:, -1].argmin(-1),
            "of every place, not of the last": lambda x: x.argmax(-1),
            "its logit, not its number": lambda x: x[:, -1].amax(-1),
        },
    ),
    Try(
        "3.4-decoding-2", "keeps(p, mass)", keeps, _distributions,
        {
            "the token that carries the sum across p is dropped": lambda p, m: _best(p, _fewest(p, m) - 1),
            "one token too many": lambda p, m: _best(p, _fewest(p, m) + 1),
            "what is dropped and what is kept are swapped": lambda p, m: ~keeps(p, m),
            "the sum runs from the least likely token": lambda p, m: (p * (p < p[:, None])).sum(1) < m,
        },
    ),
    Try(
        "3.4-decoding-3", "variety(tokens, n)", variety, _texts,
        {
            "repetition: one minus it": lambda t, n: 1 - variety(t, n),
            "the runs do not overlap": lambda t, n: (
                len({tuple(t[i : i + n]) for i in range(0, len(t) - n + 1, n)}) / len(range(0, len(t) - n + 1, n))
            ),
            "the last run is missing": lambda t, n: variety(t[:-1], n),
            "single tokens, not runs": lambda t, n: variety(t, 1),
        },
    ),
    Try(
        "3.4-decoding-4", "penalise(logits, seen, theta)", penalise, _penalised,
        {
            "negative logits are divided, and rise": lambda x, seen, t: torch.where(seen, x / t, x),
            "all tokens are punished, not only the seen ones": lambda x, seen, t: penalise(x, torch.ones_like(seen), t),
            "the tokens that were not seen are punished": lambda x, seen, t: penalise(x, ~seen, t),
            "rewarded, not punished": lambda x, seen, t: penalise(x, seen, 1 / t),
        },
    ),
)  # fmt: skip
