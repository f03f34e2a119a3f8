r"""A world in which everything about a reward is known: walks on a small directed graph, written as words.

Each place is a letter. A text is a walk: it begins at a given place and goes on letter by letter, and it is over when it
reaches the goal, when it goes where no road leads, or when it has L letters. Its worth is

.. math:: r = \frac{\text{roads of the shortest way}}{\text{roads that were walked}}
   \text{ at the goal, } 0 \text{ elsewhere}                                             (eq-chat-walks)

so 1 is the best, and breadth-first search (Dijkstra's algorithm with roads of one length) knows it from everywhere. The
task is that of Chen et al., "Decision Transformer", 2021, arXiv:2106.01345, section 3; departures: a walk is at most
8 letters, so that all of them can be listed (`companion.text.chat.exact`), and a wrong step ends it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from companion.training.random import multinomial, rand, randint
from companion.validate import Range, check_shapes, checked

LETTERS = "abcdefghijklmnopqrstuvwxyz"
GOAL = 0


@dataclass(frozen=True)
class Judged:
    """What became of walks.

    Attributes:
        reward: r, from 0 to 1.
        mask: True at the letters that count: the steps, up to and with the last.
        arrived: whether the goal was reached.
    """

    reward: Float[Tensor, "n"]
    mask: Bool[Tensor, "n letters"]
    arrived: Bool[Tensor, "n"]


@checked
@dataclass(frozen=True, eq=False)
class Roads:
    """A map of one-way roads.

    Attributes:
        roads: True at [i, j] where a road leads from i to j; the goal is place 0.
        letters: L, of the longest walk.

    Raises:
        ValueError: more places than letters, a road from a place to itself, or a place from which no walk of L letters
            reaches the goal.
    """

    roads: Bool[Tensor, "places places"]
    letters: Annotated[int, Range(2)] = 8

    def __post_init__(self) -> None:
        if len(self.roads) > len(LETTERS) or self.roads.diagonal().any():
            raise ValueError(
                f"roads: got {len(self.roads)} places, wanted at most 26 and no road from a place to itself"
            )
        if int(self.distance.max()) >= self.letters:
            raise ValueError(
                f"letters: got {self.letters}, wanted more: a place is {int(self.distance.max())} roads away"
            )

    @property
    def places(self) -> int:
        """How many letters there are."""
        return len(self.roads)

    @cached_property
    def distance(self) -> Int[Tensor, "places"]:
        """Roads of the shortest way to the goal, by breadth-first search backwards; a very large number where none leads."""
        found = torch.full((self.places,), 1_000)
        found[GOAL], front, steps = 0, torch.arange(self.places) == GOAL, 0
        while front.any():
            steps += 1
            front = self.roads[:, front].any(1) & (found == 1_000)
            found[front] = steps
        return found

    def starts(self, n: int, generator: Generator) -> Int[Tensor, "n 1"]:
        """n places to begin at, any but the goal."""
        return 1 + randint(self.places - 1, (n, 1), generator)

    def demonstrations(
        self, n: int, generator: Generator
    ) -> tuple[Int[Tensor, "n letters"], Bool[Tensor, "n letters"]]:
        """n walks of someone who takes any road, filled up with the goal's letter, and the mask of what counts."""
        chance = self.roads.float()
        chance[GOAL, GOAL] = 1.0  # who has arrived stays there
        ids = self.starts(n, generator)
        for _ in range(self.letters - 1):
            ids = torch.cat([ids, multinomial(chance[ids[:, -1]], 1, generator)], 1)
        return ids, self.judge(ids).mask

    def judge(self, ids: Int[Tensor, "n letters"]) -> Judged:
        """Read walks (eq-chat-walks); whatever was written after their end does not count."""
        check_shapes(ids=(ids, f"n {self.letters}"))
        roads, distance = self.roads.to(ids.device), self.distance.to(ids.device)
        on_road = roads[ids[:, :-1], ids[:, 1:]]
        over = (ids[:, 1:] == GOAL) | ~on_road
        before = torch.nn.functional.pad(over.cumsum(1)[:, :-1], (1, 0))
        mask = torch.nn.functional.pad(before == 0, (1, 0))
        arrived = (mask[:, 1:] & on_road & (ids[:, 1:] == GOAL)).any(1)
        reward = distance[ids[:, 0]] / mask.sum(1)
        return Judged(torch.where(arrived, reward, 0.0), mask, arrived)

    def spelled(self, ids: Int[Tensor, "letters"]) -> str:
        """A walk in letters, as far as it counts; a wrong step is written in capitals."""
        judged = self.judge(ids[None])
        word = "".join(LETTERS[i] for i in ids[: 1 + int(judged.mask.sum())].tolist())
        wrong = not judged.arrived[0] and not self.roads[LETTERS.index(word[-2]), LETTERS.index(word[-1])]
        return word[:-1] + word[-1].upper() if wrong else word


@checked
def draw_roads(
    generator: Generator, places: Annotated[int, Range(3)] = 21, chance: float = 0.1, letters: int = 8
) -> Roads:
    """A map on which each road is there with a given chance, drawn until from everywhere the goal is in reach.

    Each place has one road at least, and none leads out of the goal.
    """
    while True:
        roads = rand((places, places), generator) < chance
        roads.fill_diagonal_(False)
        one = (torch.arange(places) + 1 + randint(places - 1, (places,), generator)) % places
        roads[torch.arange(places), one] |= ~roads.any(1)
        roads[GOAL] = False
        try:
            return Roads(roads, letters)
        except ValueError:
            continue
