"""The tries of the lesson on experts: who is chosen, what the chosen compute, the auxiliary loss, the nudge."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from companion.exercises.tries import Try


def choose(
    scores: Float[Tensor, "tokens experts"], k: int
) -> tuple[Int[Tensor, "tokens k"], Float[Tensor, "tokens k"]]:
    """The k experts of the highest probability, the best first, and their probabilities as gates."""
    gates, chosen = scores.softmax(-1).topk(k)
    return chosen, gates


def mix(
    x: Float[Tensor, "tokens width"],
    experts: Sequence[nn.Module],
    chosen: Int[Tensor, "tokens k"],
    gates: Float[Tensor, "tokens k"],
) -> Float[Tensor, "tokens width"]:
    """What the chosen experts make of each token, times their gates, summed."""
    out = torch.zeros_like(x)
    for e, expert in enumerate(experts):
        token, place = (chosen == e).nonzero(as_tuple=True)
        out[token] += gates[token, place, None] * expert(x[token])
    return out


def imbalance(p: Float[Tensor, "tokens experts"], chosen: Int[Tensor, "tokens k"]) -> Float[Tensor, ""]:
    """Experts times the sum of loads times mean probabilities."""
    experts = p.shape[1]
    load = chosen.flatten().bincount(minlength=experts) / len(chosen)
    return experts * (load * p.mean(0)).sum()


def nudged(bias: Float[Tensor, "experts"], load: Float[Tensor, "experts"], rate: float) -> Float[Tensor, "experts"]:
    """Up by ``rate`` where the load is below its mean, down where it is above."""
    return bias + rate * (load.mean() - load).sign()


def _scores(g: Generator) -> list[tuple[Tensor, int]]:
    return [(2 * torch.randn(n, experts, generator=g), k) for n, experts, k in ((4, 5, 2), (3, 6, 3))]


class _Own(nn.Module):
    """An expert that knows its tokens: if it is given any other, all that it returns is off by one."""

    def __init__(self, own: Float[Tensor, "own width"]) -> None:
        super().__init__()
        self.own, self.linear = own, nn.Linear(own.shape[1], own.shape[1])

    def forward(self, x: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens width"]:
        known = (x[..., None, :] == self.own).all(-1).any(-1)
        return self.linear(x) + (~known.all()).float()


def _mixtures(g: Generator) -> list[tuple]:
    made = []
    for n, width, count in ((5, 3, 4), (7, 4, 3)):
        x = torch.randn(n, width, generator=g)
        chosen, gates = choose(torch.randn(n, count, generator=g), 2)
        made.append((x, [_Own(x[(chosen == e).any(-1)]) for e in range(count)], chosen, gates))
    return made


def _routed(g: Generator) -> list[tuple[Tensor, Tensor]]:
    made = []
    for n, experts, k in ((6, 4, 2), (9, 5, 1), (7, 6, 3)):
        p = (torch.randn(n, experts, generator=g) + torch.arange(experts) / 2).softmax(-1)
        made.append((p, p.topk(k).indices))
    return made


def _loads(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [
        (torch.randn(n, generator=g) / 4, 0.1 + torch.rand(n, generator=g), rate) for n, rate in ((5, 0.1), (6, 0.25))
    ]


def _renormalised(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    chosen, gates = choose(scores, k)
    return chosen, gates / gates.sum(-1, keepdim=True)


def _wasteful(x: Tensor, experts: Sequence[nn.Module], chosen: Tensor, gates: Tensor) -> Tensor:
    every = torch.stack([expert(x) for expert in experts], 1)
    return (torch.zeros(len(x), len(experts)).scatter(1, chosen, gates)[..., None] * every).sum(1)


TRIES = (
    Try(
        "3.4-grok-1", "choose(scores, k)", choose, _scores,
        {
            "the gates are divided by their sum: that is Mixtral's way": _renormalised,
            "no softmax: the scores themselves": lambda s, k: (s.topk(k).indices, s.topk(k).values),
            "a sigmoid of each score by itself": lambda s, k: (s.topk(k).indices, s.topk(k).values.sigmoid()),
            "gates first, then the chosen: the other way round": lambda s, k: choose(s, k)[::-1],
            "the worst experts, not the best": lambda s, k: choose(-s, k),
        },
    ),
    Try(
        "3.4-grok-2", "mix(x, experts, chosen, gates)", mix, _mixtures,
        {
            "all experts run on all tokens: each is to see its own alone": _wasteful,
            "the gates are missing": lambda x, e, c, g: mix(x, e, c, torch.ones_like(g)),
            "only the best expert of each token": lambda x, e, c, g: mix(x, e, c[:, :1], g[:, :1]),
            "both experts get the gate of the first": lambda x, e, c, g: mix(x, e, c, g[:, :1].expand_as(g)),
            "the mean of the two, not their sum": lambda x, e, c, g: mix(x, e, c, g) / 2,
            "the tokens' gates are swapped": lambda x, e, c, g: mix(x, e, c, g.flip(1)),
        },
    ),
    Try(
        "3.4-grok-3", "imbalance(p, chosen)", imbalance, _routed,
        {
            "the factor E is missing": lambda p, c: imbalance(p, c) / p.shape[1],
            "the load is divided by k as well: another convention": lambda p, c: imbalance(p, c) / c.shape[1],
            "the probabilities are summed over the tokens, not averaged": lambda p, c: imbalance(p, c) * len(p),
            "the load times itself: it has no gradient": lambda p, c: (
                p.shape[1] * (c.flatten().bincount(minlength=p.shape[1]) / len(c)).square().sum()
            ),
        },
    ),
    Try(
        "3.4-grok-4", "nudged(bias, load, rate)", nudged, _loads,
        {
            "the wrong way: a full expert gets more": lambda b, load, r: nudged(b, -load, r),
            "by how much it is off, not by the sign alone": lambda b, load, r: b + r * (load.mean() - load),
            "the old bias is forgotten": lambda b, load, r: nudged(torch.zeros_like(b), load, r),
            "the rate is missing": lambda b, load, r: nudged(b, load, 1.0),
        },
    ),
)  # fmt: skip
