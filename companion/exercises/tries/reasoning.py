"""The tries of the lesson on reasoning: parities so far, when an answer goes on, votes, advantages, the clipped objective."""

import math

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from companion.exercises.tries import Try
from companion.text.reasoning.grpo import advantages
from companion.text.reasoning.parity import goes_on, running_parity
from companion.text.reasoning.voting import majority_chance


def gain(ratio: Float[Tensor, "n"], advantage: Float[Tensor, "n"], eps: float) -> Float[Tensor, "n"]:
    """What a token contributes, cut off where the ratio has gone too far."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - eps, 1 + eps) * advantage)


def _bits(g: Generator) -> list[tuple[Int[Tensor, "n d"]]]:
    return [(torch.randint(2, shape, generator=g),) for shape in ((3, 7), (5, 12))]


def _shares(g: Generator) -> list[tuple[float]]:
    return [(float(share),) for share in 0.05 + 0.8 * torch.rand(4, generator=g)]


def _votes(g: Generator) -> list[tuple[float, int]]:
    return [(0.2 + 0.6 * float(torch.rand((), generator=g)), n) for n in (1, 3, 9)]


def _rewards(g: Generator) -> list[tuple[Float[Tensor, "questions samples"]]]:
    mixed = torch.stack([torch.randperm(6, generator=g) % 3 for _ in range(4)]).float()
    return [(mixed,), (torch.cat([mixed * torch.tensor([[1.0], [2.0], [0.05], [3.0]]), torch.full((1, 6), 0.7)]),)]


def _ratios(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    ratio = torch.tensor([0.5, 0.5, 1.0, 1.0, 1.6, 1.6]) + 0.1 * torch.rand(6, generator=g)
    return [(ratio, (0.5 + torch.rand(6, generator=g)) * torch.tensor([1.0, -1.0] * 3), eps) for eps in (0.2, 0.3)]


def _without_coefficients(right: float, n: int) -> float:
    return sum(right**k * (1 - right) ** (n - k) for k in range(n // 2 + 1, n + 1))


TRIES = (
    Try(
        "3.4-reasoning-1", "running(bits)", running_parity, _bits,
        {
            "the number of ones so far, not its parity": lambda b: b.cumsum(-1),
            "the parity of all bits at each place": lambda b: (b.sum(-1, keepdim=True) % 2).expand_as(b),
            "counted from the end": lambda b: b.flip(-1).cumsum(-1) % 2,
            "down the columns: the last axis holds the bits": lambda b: b.cumsum(0) % 2,
            "only neighbours are compared": lambda b: (b + torch.nn.functional.pad(b, (1, -1))) % 2,
        },
    ),
    Try(
        "3.4-reasoning-2", "chance(p)", goes_on, _shares,
        {
            "the share of long answers among all, not among those that begin so": lambda p: p,
            "the odds": lambda p: p / (1 - p),
            "of the short answers half begin with the first bit, not twice as many": lambda p: p / (p + 2 * (1 - p)),
            "that it ends": lambda p: 1 - goes_on(p),
        },
    ),
    Try(
        "3.4-reasoning-3", "most(right, n)", majority_chance, _votes,
        {
            "in how many ways k of n can be right: math.comb(n, k)": _without_coefficients,
            "exactly half and one more, not that or more": lambda a, n: (
                math.comb(n, n // 2 + 1) * a ** (n // 2 + 1) * (1 - a) ** (n - n // 2 - 1)
            ),
            "one of them at least: more than half must be right": lambda a, n: 1 - (1 - a) ** n,
            "the others must be wrong: (1 - right) ** (n - k)": lambda a, n: sum(
                math.comb(n, k) * a**k for k in range(n // 2 + 1, n + 1)
            ),
        },
    ),
    Try(
        "3.4-reasoning-4", "better(rewards)", advantages, _rewards,
        {
            "not divided by the spread": lambda r: r - r.mean(1, keepdim=True),
            "the mean over all questions: an answer is compared with the others to its question": lambda r: (
                (r - r.mean()) / r.std(1, correction=0, keepdim=True).clamp(min=1e-12)
            ),
            "divided by the variance": lambda r: (
                (r - r.mean(1, keepdim=True)) / r.var(1, correction=0, keepdim=True).clamp(min=1e-12)
            ),
            "the spread with n - 1 (correction=0 is wanted)": lambda r: (
                (r - r.mean(1, keepdim=True)) / r.std(1, keepdim=True).clamp(min=1e-12)
            ),
        },
    ),
    Try(
        "3.4-reasoning-5", "gain(ratio, advantage, eps)", gain, _ratios,
        {
            "the ratio is never cut off": lambda r, a, e: r * a,
            "always the one cut off: the smaller of the two is wanted": lambda r, a, e: r.clamp(1 - e, 1 + e) * a,
            "the larger of the two, not the smaller": lambda r, a, e: torch.maximum(r * a, r.clamp(1 - e, 1 + e) * a),
            "cut off above only": lambda r, a, e: torch.minimum(r * a, r.clamp(max=1 + e) * a),
        },
    ),
)  # fmt: skip
