r"""All walks in a list: the expected reward and the KL divergence of a policy as sums, and the best policy for each β.

With u(w) the utility of a walk w, π a model and π_ref the model that it started from,

.. math::
   J &= \sum_w \pi(w)\, u(w) \\
   D &= \sum_p \pi(p) \sum_v \pi(v \mid p) \log \frac{\pi(v \mid p)}{\pi_\text{ref}(v \mid p)}     (eq-chat-exact)

where w runs over all walks, those that end with a wrong step included, p over all beginnings and v over all letters. Of
all policies the one that makes J - β D largest is

.. math:: \pi^*(w) = \pi_\text{ref}(w) \exp(u(w)/\beta) / Z,\qquad
   J^* - \beta D^* = \beta \log Z                                                         (eq-chat-optimum)

a start at a time; J and D are means over the starts. Optimum: Rafailov et al., "Direct Preference Optimization", 2023,
arXiv:2305.18290, appendix A.1.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import device_of, precise
from companion.text.chat.walks import GOAL, Roads
from companion.training.modes import evaluating
from companion.validate import Positive, checked


@dataclass(frozen=True)
class AllWalks:
    """Every walk, in alphabetical order: first those without a wrong step, then those that end with one.

    Attributes:
        ids: their letters, filled up with the goal's.
        mask: True at the steps.
        reward: of each.
        good: how many have no wrong step.
        parent: of the others, a row of the first part that begins alike, and the place of the last letter.
        fresh: True at a step of the first part if no earlier row begins like this one up to the letter before it.
    """

    ids: Int[Tensor, "walks letters"]
    mask: Bool[Tensor, "walks letters"]
    reward: Float[Tensor, "walks"]
    good: int
    parent: tuple[Int[Tensor, "wrong"], Int[Tensor, "wrong"]]
    fresh: Bool[Tensor, "good steps"]

    @classmethod
    def of(cls, world: Roads) -> "AllWalks":
        """List the walks of a world."""
        ids = torch.arange(1, world.places)[:, None]
        roads = world.roads.clone()
        roads[GOAL, GOAL] = True  # filled up
        for _ in range(world.letters - 1):
            row, step = roads[ids[:, -1]].nonzero(as_tuple=True)
            ids = torch.cat([ids[row], step[:, None]], 1)
        changed = (ids[1:, :-1] != ids[:-1, :-1]).cumsum(1) > 0
        fresh = torch.cat([torch.ones_like(changed[:1]), changed]) & world.judge(ids).mask[:, 1:]
        row, step = fresh.nonzero(as_tuple=True)
        which, letter = (~world.roads[ids[row, step]]).nonzero(as_tuple=True)
        row, step = row[which], step[which] + 1
        wrong = ids[row].masked_fill(torch.arange(world.letters) > step[:, None], GOAL)
        wrong[torch.arange(len(wrong)), step] = letter
        everything = torch.cat([ids, wrong])
        judged = world.judge(everything)
        return cls(everything, judged.mask, judged.reward.double(), len(ids), (row, step), fresh)

    def log_probs(self, model: nn.Module) -> Float[Tensor, "good steps letters"]:
        """Log-probability of every letter at every step, in nats, without a gradient."""
        with evaluating(model):
            device = device_of(model)
            parts = [
                precise(model(part[:, :-1].to(device))).log_softmax(-1).cpu()
                for part in self.ids[: self.good].split(4_096)
            ]
        return torch.cat(parts).double()

    def beginnings(self, log_p: Float[Tensor, "good steps letters"]) -> Float[Tensor, "good letters"]:
        """log π of each walk of the first part up to each of its letters, given the first."""
        steps = log_p.gather(-1, self.ids[: self.good, 1:, None])[..., 0] * self.mask[: self.good, 1:]
        return nn.functional.pad(steps.cumsum(1), (1, 0))

    def chances(self, log_p: Float[Tensor, "good steps letters"]) -> Float[Tensor, "walks"]:
        """log π(w) of each walk, given its start."""
        begun, (row, step) = self.beginnings(log_p), self.parent
        letter = self.ids[self.good :].gather(1, step[:, None])[:, 0]
        return torch.cat([begun[:, -1], begun[row, step - 1] + log_p[row, step - 1, letter]])

    def mean(self, log_chance: Float[Tensor, "walks"], values: Float[Tensor, "walks"]) -> float:
        """Σ_w π(w) values(w), in a mean over the starts."""
        return float((log_chance.exp() * values).sum() / self.starts)

    @cached_property
    def starts(self) -> int:
        """How many places a walk may begin at."""
        return int(self.ids[:, 0].unique().numel())


@dataclass(frozen=True)
class Point:
    """A policy in the plane of eq-chat-exact.

    Attributes:
        kl: D, in nats a walk.
        utility: J.
    """

    kl: float
    utility: float


def expected(
    walks: AllWalks,
    log_p: Float[Tensor, "good steps letters"],
    log_ref: Float[Tensor, "good steps letters"],
    utility: Float[Tensor, "walks"],
) -> Point:
    """J and D of a policy (eq-chat-exact), in a mean over the starts.

    Args:
        walks: all of them.
        log_p: of the policy, of `AllWalks.log_probs`.
        log_ref: of the reference.
        utility: u(w).
    """
    before = walks.beginnings(log_p)[:, :-1].exp()
    local = (log_p.exp() * (log_p - log_ref)).sum(-1)
    kl = float((before * local * walks.fresh).sum() / walks.starts)
    return Point(kl, walks.mean(walks.chances(log_p), utility))


@checked
def optimum(
    walks: AllWalks, log_ref: Float[Tensor, "walks"], utility: Float[Tensor, "walks"], beta: Positive
) -> tuple[Point, Float[Tensor, "walks"]]:
    """The best policy for a price β of a nat (eq-chat-optimum): its J and D, and log π*(w) of each walk given its start.

    Args:
        walks: all of them.
        log_ref: log π_ref(w), of `AllWalks.chances`.
        utility: u(w).
        beta: β.
    """
    start = walks.ids[:, 0] - 1
    tilted = log_ref + utility / beta
    top = torch.full((walks.starts,), -torch.inf, dtype=tilted.dtype).scatter_reduce(0, start, tilted, "amax")
    total = torch.zeros(walks.starts, dtype=tilted.dtype).index_add(0, start, (tilted - top[start]).exp())
    best = tilted - (top + total.log())[start]
    return Point(walks.mean(best, best - log_ref), walks.mean(best, utility)), best


def best_at(walks: AllWalks, log_ref: Float[Tensor, "walks"], utility: Float[Tensor, "walks"], kl: float) -> float:
    """The most that a policy of this divergence can earn: J of the optimum whose D it is, found by bisection of log β."""
    low, high = -5.0, 8.0
    for _ in range(50):
        middle = (low + high) / 2
        found, _ = optimum(walks, log_ref, utility, math.exp(middle))
        low, high = (middle, high) if found.kl > kl else (low, middle)
    return found.utility
