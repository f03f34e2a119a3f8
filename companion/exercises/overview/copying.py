"""The checks of exercise 3.1.4: a test for copying.

The share is found by a loop over samples and images; the standard deviation by dealing out the labels in every possible way.
"""

import math
from itertools import combinations

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer
from companion.exercises.checking import Exercise, Property, compare_numbers, sizes


def _images(g: Generator, n: int, half: int) -> tuple[Tensor, Tensor, Tensor]:
    height, width = sizes(g, 2, high=5)
    train, witness = (torch.randn(half, 1, height, width, generator=g) for _ in range(2))
    return torch.randn(n, 1, height, width, generator=g), train, witness


def _nearest(samples: Tensor, pool: Tensor) -> list[int]:
    return [min(range(len(pool)), key=lambda i: float((pool[i] - sample).square().sum())) for sample in samples]


def _by_dealing(hits: list[int], half: int, n: int) -> float:
    """The standard deviation of the share over all ways to call ``half`` of the images training images."""
    shares = [sum(hits[i] for i in chosen) / n for chosen in combinations(range(2 * half), half)]
    mean = sum(shares) / len(shares)
    return math.sqrt(sum((share - mean) ** 2 for share in shares) / len(shares))


def _share(answer: Answer, g: Generator) -> str:
    def share(found: Tensor) -> float:
        return float(found.float().mean())

    said = ""
    for _ in range(3):
        while True:
            samples, train, witness = _images(g, 23, 9)
            samples[:9] = train + 0.2 * torch.randn(train.shape, generator=g)
            wins = _nearest(samples, torch.cat([train, witness]))
            wanted = sum(i < 9 for i in wins) / 23
            if 0.3 < wanted < 0.9:
                break
        to = [torch.cdist(samples.flatten(1), part.flatten(1)) for part in (train, witness)]
        mistakes = {
            "the share nearer to the witness": 1 - wanted,
            "the mean distances are compared, not the nearest neighbours": share(to[0].mean(1) < to[1].mean(1)),
            "the farthest image, not the nearest": share(to[0].amax(1) > to[1].amax(1)),
            "the number of samples, not their share": 23 * wanted,
        }  # fmt: skip
        said = compare_numbers(answer.numbers(samples, train, witness, count=2)[0], wanted, mistakes)
    return said


def _deviation_of(answer: Answer, samples: Tensor, train: Tensor, witness: Tensor) -> str:
    half, n = len(train), len(samples)
    wins = _nearest(samples, torch.cat([train, witness]))
    hits = [wins.count(i) for i in range(2 * half)]
    wanted = _by_dealing(hits, half, n)
    squares, total = sum(h * h for h in hits), 2 * half
    share = sum(hits[:half]) / n
    mistakes = {
        "the variance, without the root": wanted**2,
        "the samples are taken for independent coins": 0.5 / math.sqrt(n),
        "the samples are taken for independent coins, of the share that was found": math.sqrt(share * (1 - share) / n),
        "the labels are dealt out with replacement": wanted * math.sqrt((total - 1) / total),
        "the mean of the counts is not taken off": math.sqrt(half * half / (total * (total - 1)) * squares) / n,
        "not divided by the number of samples": wanted * n,
    }
    return compare_numbers(answer.numbers(samples, train, witness, count=2)[1], wanted, mistakes)


def _deviation(answer: Answer, g: Generator) -> str:
    said = ""
    for _ in range(2):
        said = _deviation_of(answer, *_images(g, 17, 5))
    return said


def _repeated(answer: Answer, g: Generator) -> str:
    samples, train, witness = _images(g, 12, 5)
    samples[:8] = train[int(torch.randint(5, (), generator=g))]
    return _deviation_of(answer, samples, train, witness)


EXERCISES = (
    Exercise(
        "3.1.4",
        "copying(samples, train, witness)",
        (
            Property("the share of samples nearer to training images", 8, _share),
            Property("the standard deviation by chance", 8, _deviation),
            Property("samples that repeat one image", 4, _repeated),
        ),
    ),
)
