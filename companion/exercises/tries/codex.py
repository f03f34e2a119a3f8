"""The tries of the lesson on Codex: surprise, the middle at the end, at least one of k, the loss of a solution."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from companion.exercises.tries import Try

_MARKS = ("suffix", "prefix", "middle", "end")


def surprise(logits: Float[Tensor, "n vocab"], ids: Int[Tensor, "n"]) -> Float[Tensor, "n-1"]:
    """The negative log-likelihood of each token but the first; the logits at a place speak of the next one."""
    return -logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]


def rearrange(prefix: list[int], middle: list[int], suffix: list[int], mark: Mapping[str, int]) -> list[int]:
    """The tokens of a text in three parts with the middle at the end."""
    return [mark["suffix"], *suffix, mark["prefix"], *prefix, mark["middle"], *middle, mark["end"]]


def some_right(right: Bool[Tensor, "n"], k: int) -> Float[Tensor, ""]:
    """In which share of all ways to take k of the programs is a right one among them."""
    return torch.combinations(right, k).any(1).double().mean()


def solution_loss(log_p: Float[Tensor, "rows tokens"], asked: Bool[Tensor, "rows tokens"]) -> Float[Tensor, ""]:
    """The mean negative log-likelihood of the tokens that are asked for."""
    return -(log_p * asked).sum() / asked.sum()


def _logits(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (2 * torch.randn(n, vocab, generator=g), torch.randint(vocab, (n,), generator=g))
        for n, vocab in ((5, 7), (8, 4))
    ]


def _parts(g: Generator) -> list[tuple[list[int], list[int], list[int], dict[str, int]]]:
    found = []
    for lengths in ((3, 2, 4), (1, 4, 2)):
        ids = torch.randperm(90, generator=g).tolist()
        mark = {name: ids.pop() for name in _MARKS}
        found.append((*([ids.pop() for _ in range(n)] for n in lengths), mark))
    return found


def _verdicts(g: Generator) -> list[tuple[Tensor, int]]:
    return [(torch.randperm(n, generator=g) < c, k) for n, c, k in ((7, 3, 3), (8, 2, 4))]


def _solutions(g: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for rows, tokens in ((2, 6), (3, 9)):
        starts = torch.randint(1, 3, (rows, 1), generator=g) + 2 * (torch.arange(rows)[:, None] % 2)
        found.append((-3 * torch.rand(rows, tokens, generator=g) - 0.1, torch.arange(tokens) >= starts))
    return found


TRIES = (
    Try(
        "3.5-codex-1", "surprise(logits, ids)", surprise, _logits,
        {
            "not shifted: the logits at a place speak of the next token": lambda logits, ids: (
                -logits[1:].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
            ),
            "the sign": lambda logits, ids: -surprise(logits, ids),
            "the probability, not minus its logarithm": lambda logits, ids: surprise(logits, ids).neg().exp(),
            "the logit itself: no softmax": lambda logits, ids: -logits[:-1].gather(1, ids[1:, None])[:, 0],
        },
    ),
    Try(
        "3.5-codex-2", "rearrange(prefix, middle, suffix, mark)", rearrange, _parts,
        {
            "the prefix first: the other order": lambda p, m, s, mark: [
                mark["prefix"], *p, mark["suffix"], *s, mark["middle"], *m, mark["end"]
            ],
            "the middle in its old place": lambda p, m, s, mark: [
                mark["prefix"], *p, mark["middle"], *m, mark["suffix"], *s, mark["end"]
            ],
            "no end token: the model would never stop": lambda p, m, s, mark: rearrange(p, m, s, mark)[:-1],
            "the mark of the middle behind it": lambda p, m, s, mark: [
                mark["suffix"], *s, mark["prefix"], *p, *m, mark["middle"], mark["end"]
            ],
        },
    ),
    Try(
        "3.5-codex-3", "some_right(right, k)", some_right, _verdicts,
        {
            "drawn with replacement: the same program may be taken twice": lambda right, k: (
                1 - (1 - right.double().mean()) ** k
            ),
            "all of the k are right, not one of them": lambda right, k: (
                torch.combinations(right, k).all(1).double().mean()
            ),
            "how many ways, not which share of them": lambda right, k: (
                torch.combinations(right, k).any(1).double().sum()
            ),
            "the share of right programs, whatever k is": lambda right, k: right.double().mean(),
        },
    ),
    Try(
        "3.5-codex-4", "solution_loss(log_p, asked)", solution_loss, _solutions,
        {
            "the mean over all tokens, the given ones too": lambda log_p, asked: -log_p.mean(),
            "divided by the number of all tokens": lambda log_p, asked: -(log_p * asked).mean(),
            "the sign": lambda log_p, asked: -solution_loss(log_p, asked),
            "the mean of the rows' means: long solutions would count less": lambda log_p, asked: (
                -((log_p * asked).sum(1) / asked.sum(1)).mean()
            ),
        },
    ),
)  # fmt: skip
