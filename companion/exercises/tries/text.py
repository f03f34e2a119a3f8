"""The tries of the chapter on text: the probability of a text, the tilt by a reward, a vote, two experts of many."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.exercises.tries import Try


def log_p(chances: list[float]) -> float:
    """The logarithm of a text's probability, from the probability of each token given those before it."""
    return sum(math.log(p) for p in chances)


def tilt(reward: Float[Tensor, "texts"], beta: float) -> Float[Tensor, "texts"]:
    """New weights of texts that were drawn with equal ones, after a reward."""
    return (reward / beta).softmax(0)


def winner(answers: list[int]) -> int:
    """The answer that was given most often."""
    return max(set(answers), key=answers.count)


def mix(scores: Float[Tensor, "experts"], outputs: Float[Tensor, "experts width"]) -> Float[Tensor, "width"]:
    """What the two best experts say, weighted by a softmax over these two."""
    best, chosen = scores.topk(2)
    return best.softmax(0) @ outputs[chosen]


def _texts(g: Generator) -> list[tuple[list[float]]]:
    return [((0.05 + 0.8 * torch.rand(n, generator=g)).tolist(),) for n in (3, 6, 9)]


def _rewards(g: Generator) -> list[tuple[Tensor, float]]:
    return [(3 * torch.rand(n, generator=g), beta) for n, beta in ((4, 0.5), (7, 2.0))]


def _answers(g: Generator) -> list[tuple[list[int]]]:
    found = []
    for times in (4, 6):
        low, lower, wins, high, higher = (10 + torch.randperm(80, generator=g)[:5]).sort().values.tolist()
        found.append(([higher, *[wins] * times, low, high, high, lower, higher, low],))
    return found


def _experts(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(n, generator=g), torch.randn(n, width, generator=g)) for n, width in ((5, 3), (8, 4))]


TRIES = (
    Try(
        "3.4-text-1", "log_p(chances)", log_p, _texts,
        {
            "the probability itself, without the logarithm": lambda p: math.prod(p),
            "the mean for each token, not the sum": lambda p: log_p(p) / len(p),
            "the sign": lambda p: -log_p(p),
            "the logarithm of the sum: probabilities in a row are multiplied": lambda p: math.log(sum(p)),
        },
    ),
    Try(
        "3.4-text-2", "tilt(reward, beta)", tilt, _rewards,
        {
            "multiplied by beta, not divided": lambda r, b: (r * b).softmax(0),
            "they do not sum to one": lambda r, b: (r / b).exp(),
            "the reward itself, without the exponential": lambda r, b: (r / b) / (r / b).sum(),
            "low rewards are preferred: the sign": lambda r, b: (-r / b).softmax(0),
        },
    ),
    Try(
        "3.4-text-3", "winner(answers)", winner, _answers,
        {
            "the largest answer, not the most frequent": max,
            "how often it was given, not which it is": lambda a: max(map(a.count, a)),
            "the rarest answer": lambda a: min(set(a), key=a.count),
            "the last answer": lambda a: a[-1],
        },
    ),
    Try(
        "3.4-text-4", "mix(scores, outputs)", mix, _experts,
        {
            "a softmax over all experts: the two weights do not sum to one": lambda s, y: (
                s.softmax(0)[s.topk(2).indices] @ y[s.topk(2).indices]
            ),
            "all experts, not the best two": lambda s, y: s.softmax(0) @ y,
            "the best expert alone": lambda s, y: y[s.argmax()],
            "the mean of the two, without their weights": lambda s, y: y[s.topk(2).indices].mean(0),
        },
    ),
)  # fmt: skip
