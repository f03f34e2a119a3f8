"""The tries of the lesson on agents: a weight in BM25, the contrastive loss, coverage and risk, a copied token."""

import math

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.exercises.tries import Try
from companion.text.agents.copying import mixed


def weight(count: Float[Tensor, "n"], length: Float[Tensor, "n"], mean: float, idf: float) -> Float[Tensor, "n"]:
    """What one word of a question adds to each page's score, with k = 1.2 and b = 0.75."""
    return idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean))


def contrast(asked: Float[Tensor, "n w"], read: Float[Tensor, "n w"], tau: float) -> Float[Tensor, ""]:
    """The mean of how many nats each question is from its own passage among all."""
    return F.cross_entropy(asked @ read.T / tau, torch.arange(len(asked)))


def selective(sure: Float[Tensor, "n"], right: Tensor, least: float) -> tuple[float, float]:
    """The share of questions that are answered, and the share of the answered that is wrong."""
    answered = sure >= least
    return float(answered.float().mean()), float((~right[answered]).float().mean())


def copy(p: Float[Tensor, "v"], gate: float, looks: Float[Tensor, "n"], source: Int[Tensor, "n"]) -> Float[Tensor, "v"]:
    """The probability of each token, written or copied."""
    logits = torch.cat([(1 - gate) * p, torch.tensor([gate])]).log()
    return mixed(logits[None, None], looks[None, None], source[None])[0, 0]


def _pages(g: Generator) -> list[tuple[Tensor, Tensor, float, float]]:
    count = torch.tensor([0.0, 1.0, 3.0, 1.0])
    return [(count, 20 + 200 * torch.rand(4, generator=g), 80.0, idf) for idf in (0.4, 3.1)]


def _pairs(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    draw = [F.normalize(torch.randn(5, 3, generator=g), dim=-1) for _ in range(2)]
    return [(*draw, tau) for tau in (0.1, 0.5)]


def _answers(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    sure = torch.tensor([0.9, 0.8, 0.7, 0.5, 0.3, 0.1])[torch.randperm(6, generator=g)]
    right = (torch.arange(6) % 3 == 0)[torch.randperm(6, generator=g)]
    return [(sure, right, least) for least in (0.0, 0.5, 0.75)]


def _tokens(g: Generator) -> list[tuple[Tensor, float, Tensor, Tensor]]:
    p, looks = torch.rand(6, generator=g), torch.rand(4, generator=g) + 0.1
    return [(p / p.sum(), gate, looks / looks.sum(), torch.tensor([2, 5, 2, 0])) for gate in (0.3, 0.9)]


def _overwritten(p: Tensor, gate: float, looks: Tensor, source: Tensor) -> Tensor:
    found = (1 - gate) * p
    found[source] += gate * looks  # of two places with one token the last one wins
    return found


TRIES = (
    Try(
        "3.4-agents-1", "weight(count, length, mean, idf)", weight, _pages,
        {
            "a long page is not held back": lambda f, n, m, idf: idf * f * 2.2 / (f + 1.2),
            "the factor k + 1 above the line is missing": lambda f, n, m, idf: weight(f, n, m, idf) / 2.2,
            "without the word's rarity": lambda f, n, m, idf: weight(f, n, m, 1.0),
            "length and mean have changed places": lambda f, n, m, idf: idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * m / n)),
        },
    ),
    Try(
        "3.4-agents-2", "contrast(asked, read, tau)", contrast, _pairs,
        {
            "not divided by tau": lambda a, r, t: contrast(a, r, 1.0),
            "times tau, not divided by it": lambda a, r, t: contrast(a, r, 1 / t),
            "each passage looks for its question, not each question for its passage": lambda a, r, t: contrast(r, a, t),
            "the sum over the batch, not the mean": lambda a, r, t: contrast(a, r, t) * len(a),
            "the wrong sign": lambda a, r, t: -contrast(a, r, t),
        },
    ),
    Try(
        "3.4-agents-3", "selective(sure, right, least)", selective, _answers,
        {
            "the wrong ones as a share of all questions, not of the answered": lambda s, r, t: (
                float((s >= t).float().mean()), float(((s >= t) & ~r).float().mean())
            ),
            "the share that is right, not wrong": lambda s, r, t: (selective(s, r, t)[0], 1 - selective(s, r, t)[1]),
            "as sure as the threshold is sure enough (>=, not >)": lambda s, r, t: selective(s, r, math.nextafter(t, 2) + 1e-6),
        },
    ),
    Try(
        "3.4-agents-4", "copy_or_write(p, gate, looks, source)", copy, _tokens,
        {
            "a token that stands twice in the source gets both of its looks": _overwritten,
            "the model's own choice must shrink to 1 - gate": lambda p, c, a, s: p.scatter_add(0, s, c * a),
            "gate and 1 - gate have changed places": lambda p, c, a, s: copy(p, 1 - c, a, s),
        },
    ),
)  # fmt: skip
