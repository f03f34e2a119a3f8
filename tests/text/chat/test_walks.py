"""Walks: distances against SciPy's Dijkstra, the reward by hand, what counts, and the text of a wrong step."""

import pytest
import torch
from scipy.sparse.csgraph import dijkstra

from companion.text.chat.walks import Roads, draw_roads
from tests.conftest import gen, rejects
from tests.text.chat.model import world


@pytest.mark.parametrize("seed", range(6))
def test_distance_is_what_dijkstra_finds(seed: int) -> None:
    drawn = draw_roads(gen(seed), places=5 + 3 * seed)
    wanted = dijkstra(drawn.roads.T.numpy().astype(float), indices=0)
    assert drawn.distance.tolist() == wanted.astype(int).tolist()
    assert not drawn.roads[0].any() and bool(drawn.roads[1:].any(1).all())


def test_reward_by_hand() -> None:
    walks = torch.tensor(
        [
            [3, 1, 0, 0, 0],  # the shortest
            [3, 2, 1, 0, 4],  # one road more; what follows does not count
            [3, 1, 2, 1, 2],  # never there
            [3, 0, 0, 0, 0],  # no such road
            [1, 0, 0, 0, 0],
            [4, 3, 1, 2, 0],  # there with the last letter
            [2, 1, 3, 1, 0],  # a wrong step, then the goal
        ]
    )
    judged = world().judge(walks)
    torch.testing.assert_close(judged.reward, torch.tensor([1, 2 / 3, 0, 0, 1, 3 / 4, 0]))
    assert judged.arrived.tolist() == [True, True, False, False, True, True, False]
    assert judged.mask.sum(1).tolist() == [2, 3, 4, 1, 1, 4, 2]
    assert not judged.mask[:, 0].any()
    assert [world().spelled(walk) for walk in walks[[0, 1, 2, 3, 6]]] == ["dba", "dcba", "dbcbc", "dA", "cbD"]


def test_what_follows_the_end_changes_nothing() -> None:
    walks, mask = world().demonstrations(60, gen(1))
    noise = torch.where(
        torch.nn.functional.pad(~mask[:, 1:], (1, 0)), torch.randint(5, walks.shape, generator=gen(2)), walks
    )
    judged, other = world().judge(walks), world().judge(noise)
    assert torch.equal(judged.reward, other.reward) and torch.equal(judged.mask, other.mask)


def test_demonstrations_take_every_road_equally_often_and_no_other() -> None:
    walks, mask = world().demonstrations(4_000, gen(3))
    assert torch.equal(mask, world().judge(walks).mask)
    begun = walks[walks[:, 0] == 3][:, 1]
    assert set(begun.tolist()) == {1, 2} and abs(float((begun == 1).float().mean()) - 0.5) < 0.06
    assert bool((walks[walks[:, 1] == 0, 2:] == 0).all())


def test_a_map_that_cannot_be_solved_is_refused() -> None:
    with rejects("letters"):
        world(letters=3)
    with rejects("itself"):
        Roads(torch.eye(4).bool())
    with rejects("ids"):
        world().judge(torch.zeros(2, 4, dtype=torch.long))
