"""The tries of the chapter on the future: a row of words and patches, its loss, reading by drawing."""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from companion.exercises.tries import Try
from companion.future.unified import CODES, DRAW, FIRST_CODE, READ


def row(word: int, patches: list[int], to_draw: bool) -> list[int]:
    """The row of tokens of one example, to draw or to read."""
    picture = [FIRST_CODE + code for code in patches]
    return [DRAW, word, *picture] if to_draw else [READ, *picture, word]


def weighted(nats: Float[Tensor, "tokens"], is_word: Bool[Tensor, "tokens"], weight: float) -> Float[Tensor, ""]:
    """The mean of the tokens' losses, in which a word counts ``weight`` times."""
    counts = torch.where(is_word, weight, 1.0)
    return (counts * nats).sum() / counts.sum()


def named(log_p: Float[Tensor, "pictures words"]) -> Float[Tensor, "pictures words"]:
    """The probability of each word given a picture, from log p(picture | word), if all words are equally frequent."""
    return log_p.softmax(-1)


def _examples(g: Generator) -> list[tuple[int, list[int], bool]]:
    return [
        (int(torch.randint(DRAW, (), generator=g)), torch.randint(1, CODES, (n,), generator=g).tolist(), to_draw)
        for n, to_draw in ((5, True), (7, False))
    ]


def _losses(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(0.2 + torch.rand(n, generator=g), torch.arange(n) == n - 1, weight) for n, weight in ((6, 5.0), (9, 3.0))]


def _likelihoods(g: Generator) -> list[tuple[Tensor]]:
    return [(torch.randn(n, words, generator=g) - 2,) for n, words in ((3, 4), (2, 10))]


def _moved(word: int, patches: list[int], to_draw: bool, by: int) -> list[int]:
    return row(word, [code + by - FIRST_CODE for code in patches], to_draw)


TRIES = (
    Try(
        "3.10-future-1", "row(word, patches, to_draw)", row, _examples,
        {
            "the codes are not moved: patch 3 is the word three": lambda w, p, d: _moved(w, p, d, 0),
            "the word comes first in both": lambda w, p, d: [row(w, p, d)[0], *row(w, p, True)[1:]],
            "the two marks are exchanged": lambda w, p, d: [21 - row(w, p, d)[0], *row(w, p, d)[1:]],
            "the mark is missing": lambda w, p, d: row(w, p, d)[1:],
            "the codes are moved by ten: two of them are marks": lambda w, p, d: _moved(w, p, d, 10),
        },
    ),
    Try(
        "3.10-future-2", "weighted(nats, is_word, weight)", weighted, _losses,
        {
            "divided by the number of tokens": lambda x, word, w: (torch.where(word, w, 1.0) * x).mean(),
            "the sum, not the mean": lambda x, word, w: (torch.where(word, w, 1.0) * x).sum(),
            "the patches are weighted, not the word": lambda x, word, w: weighted(x, ~word, w),
            "all tokens count alike": lambda x, word, w: x.mean(),
        },
    ),
    Try(
        "3.10-future-3", "named(log_p)", named, _likelihoods,
        {
            "over the pictures, not over the words": lambda x: x.softmax(0),
            "they do not sum to one": lambda x: x.exp(),
            "the logarithms are normalised": lambda x: x / x.sum(-1, keepdim=True),
            "the least probable word is preferred": lambda x: (-x).softmax(-1),
        },
    ),
)  # fmt: skip
