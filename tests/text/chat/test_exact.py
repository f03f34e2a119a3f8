"""Every walk is listed once, J and D are the sums by hand and what samples say, and no policy beats the optimum."""

import itertools

import pytest
import torch

from companion.text.chat.exact import AllWalks, best_at, expected, optimum
from companion.text.chat.rollouts import draw
from tests.conftest import gen
from tests.text.chat.model import small, world

WALKS = AllWalks.of(world())


def by_hand() -> dict[tuple[int, ...], float]:
    """Every walk up to its end, and its reward, by brute force."""
    ids = torch.tensor([(start, *rest) for start in range(1, 5) for rest in itertools.product(range(5), repeat=4)])
    judged = world().judge(ids)
    ends = (1 + judged.mask.sum(1)).tolist()
    found = {
        tuple(walk[:end]): reward for walk, end, reward in zip(ids.tolist(), ends, judged.reward.tolist(), strict=True)
    }
    return found


def test_all_walks_are_there_once_with_their_rewards() -> None:
    listed = {
        tuple(ids[: 1 + int(m.sum())].tolist()): float(r)
        for ids, m, r in zip(WALKS.ids, WALKS.mask, WALKS.reward, strict=True)
    }
    assert len(listed) == len(WALKS.ids)
    assert listed == pytest.approx(by_hand())
    assert WALKS.starts == 4


def test_chances_sum_to_1_and_j_and_d_are_the_sums_over_all_walks() -> None:
    new, old = small(seed=1), small(seed=2)
    log_new, log_old = WALKS.log_probs(new), WALKS.log_probs(old)
    chance = WALKS.chances(log_new)
    for start in range(1, 5):
        assert float(chance[WALKS.ids[:, 0] == start].exp().sum()) == pytest.approx(1.0, abs=1e-6)
    found = expected(WALKS, log_new, log_old, WALKS.reward)
    assert found.utility == pytest.approx(float((chance.exp() * WALKS.reward).sum()) / 4)
    assert found.kl == pytest.approx(float((chance.exp() * (chance - WALKS.chances(log_old))).sum()) / 4)
    assert expected(WALKS, log_new, log_new, WALKS.reward).kl == 0


def test_samples_agree() -> None:
    model = small(seed=1)
    starts = torch.arange(1, 5)[:, None].repeat_interleave(4_000, 0)
    drawn = world().judge(draw(model, world(), starts, gen(0))).reward.double()
    exact = expected(WALKS, WALKS.log_probs(model), WALKS.log_probs(model), WALKS.reward).utility
    assert abs(float(drawn.mean()) - exact) < 4 * float(drawn.std()) / 16_000**0.5


@pytest.mark.parametrize("beta", [0.02, 0.3, 2.0, 50.0])
def test_the_optimum_is_a_distribution_of_that_form_and_nothing_near_is_better(beta: float) -> None:
    log_ref, utility = WALKS.chances(WALKS.log_probs(small())), 3 * WALKS.reward
    point, best = optimum(WALKS, log_ref, utility, beta)
    for start in range(1, 5):
        here = WALKS.ids[:, 0] == start
        assert float(best[here].exp().sum()) == pytest.approx(1.0)
        torch.testing.assert_close(best[here], (log_ref + utility / beta)[here].log_softmax(0))

    def worth(log_p: torch.Tensor) -> float:
        return WALKS.mean(log_p, utility) - beta * WALKS.mean(log_p, log_p - log_ref)

    assert worth(best) == pytest.approx(point.utility - beta * point.kl)
    for seed in range(5):
        other = best + 0.1 * torch.randn(best.shape, generator=gen(seed), dtype=best.dtype)
        for start in range(1, 5):
            here = WALKS.ids[:, 0] == start
            other[here] = other[here].log_softmax(0)
        assert worth(other) < worth(best)


def test_best_at_inverts_the_optimum_and_bounds_every_model() -> None:
    log_old = WALKS.log_probs(small())
    log_ref = WALKS.chances(log_old)
    point, _ = optimum(WALKS, log_ref, WALKS.reward, 0.2)
    assert best_at(WALKS, log_ref, WALKS.reward, point.kl) == pytest.approx(point.utility, abs=1e-6)
    for seed in range(1, 6):
        other = expected(WALKS, WALKS.log_probs(small(seed=seed)), log_old, WALKS.reward)
        assert other.utility < best_at(WALKS, log_ref, WALKS.reward, other.kl)
