"""Spending more at the answer: ask several times, then choose.

With a the chance that an answer is right, and c that it is one which can be checked and is right:

    majority of n, of two answers, n odd:      Σ_{k > n/2} C(n, k) aᵏ (1 - a)ⁿ⁻ᵏ                 (eq-reasoning-majority)
    any of n is right (coverage):              1 - (1 - a)ⁿ                                     (eq-reasoning-coverage)
    one that can be checked, else a coin:      1 - (1 - c)ⁿ / 2                                 (eq-reasoning-checked)

Majority: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", 2022,
arXiv:2203.11171. Coverage: Brown et al., "Large Language Monkeys", 2024, arXiv:2407.21787.
"""

import math

import torch
from jaxtyping import Int
from torch import Tensor

from companion.validate import Count, Share, checked


def majority(given: Int[Tensor, "questions samples"]) -> Int[Tensor, "questions"]:
    """The answer that was given most often, of several the smallest. -1, no answer, wins only where there is no other."""
    choices = given.unique()
    votes = (given[..., None] == choices).sum(1)
    return choices[torch.where(choices < 0, votes.clamp(max=1) - 1, votes).argmax(1)]


@checked
def majority_chance(right: Share, n: Count) -> float:
    """How often the majority of n independent answers, each right with this chance, is right (eq-reasoning-majority).

    Raises:
        ValueError: an even n, which can end in a draw.
    """
    if n % 2 == 0:
        raise ValueError(f"n: got {n}, wanted an odd number of answers: an even one can end in a draw")
    return sum(math.comb(n, k) * right**k * (1 - right) ** (n - k) for k in range(n // 2 + 1, n + 1))


@checked
def coverage(right: Share, n: Count) -> float:
    """How often at least one of n answers is right (eq-reasoning-coverage)."""
    return 1 - (1 - right) ** n


@checked
def checked_chance(checkable: Share, n: Count) -> float:
    """How often the answer is right that an able checker chooses of n (eq-reasoning-checked).

    Args:
        checkable: the chance that an answer is right and can be checked.
        n: how many it may choose from.
    """
    return 1 - (1 - checkable) ** n / 2
