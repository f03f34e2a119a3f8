"""PPO: advantages by closed forms, what each token earns, the gradient at ratio 1, and the way to the optimum."""

import copy

import pytest
import torch

from companion.language.scoring import token_log_probs
from companion.text.chat.exact import AllWalks, expected, optimum
from companion.text.chat.ppo import PPOConfig, clipped_loss, gae, ppo, token_rewards
from companion.text.chat.reward_model import ScalarModel
from companion.text.chat.rollouts import Rollouts, roll_out
from tests.conftest import gen, rejects
from tests.text.chat.model import keeping, small, world


def made(rows: int = 6, steps: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    lengths = torch.randint(1, steps + 1, (rows,), generator=gen(1))
    lengths[0], lengths[1] = steps, 1
    mask = torch.arange(steps) < lengths[:, None]
    rewards = torch.randn(rows, steps, generator=gen(2)) * mask
    return rewards, torch.randn(rows, steps, generator=gen(3)), mask


def test_gae_of_1_is_returns_minus_values_and_of_0_the_surprise_of_a_step() -> None:
    rewards, values, mask = made()
    returns = rewards.flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(gae(rewards, values, mask, 1.0), (returns - values) * mask)
    following = torch.nn.functional.pad((values * mask)[:, 1:], (0, 1))
    torch.testing.assert_close(gae(rewards, values, mask, 0.0), (rewards + following - values) * mask)


@pytest.mark.parametrize("decay", [0.3, 0.95])
def test_gae_is_the_sum_of_decayed_surprises(decay: float) -> None:
    rewards, values, mask = made()
    delta = gae(rewards, values, mask, 0.0)
    wanted = torch.zeros_like(delta)
    for t in range(5):
        for k in range(5 - t):
            wanted[:, t] += decay**k * delta[:, t + k]
    torch.testing.assert_close(gae(rewards, values, mask, decay), wanted * mask)


def test_values_and_rewards_after_the_end_change_nothing() -> None:
    """Known mistake: a reward, or a value, on padding."""
    rewards, values, mask = made()
    other = gae(rewards + 7 * ~mask, values - 9 * ~mask, mask, 0.9)
    torch.testing.assert_close(other, gae(rewards, values, mask, 0.9))


def test_the_utility_comes_with_the_last_token_and_the_price_once_at_each() -> None:
    """Known mistakes: the price counted twice, or with the wrong sign."""
    mask = torch.tensor([[True, True, False], [True, True, True]])
    log_p, log_ref = -torch.rand(2, 3, generator=gen(0)), -torch.rand(2, 3, generator=gen(1))
    drawn = Rollouts(torch.zeros(2, 4, dtype=torch.long), mask, log_p, log_ref, torch.tensor([5.0, -2.0]))
    found = token_rewards(drawn, beta=0.5)
    price = 0.5 * (log_p - log_ref)
    torch.testing.assert_close(found[0], torch.tensor([-price[0, 0], 5 - price[0, 1], 0.0]))
    torch.testing.assert_close(found[1], torch.tensor([-price[1, 0], -price[1, 1], -2 - price[1, 2]]))


def test_at_ratio_1_the_gradient_is_the_policy_gradient() -> None:
    model, mask = small(), torch.ones(7, 4).bool()
    mask[2:4, 2:] = False
    ids = torch.randint(5, (7, 5), generator=gen(1))
    advantage = torch.randn(7, 4, generator=gen(2))
    log_p = token_log_probs(model, ids)
    one = torch.autograd.grad(
        clipped_loss(log_p, log_p.detach(), advantage, mask, 0.2), model.parameters(), retain_graph=True
    )
    other = torch.autograd.grad(-(log_p * advantage * mask).sum() / mask.sum(), model.parameters())
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)


def test_clipping_by_hand() -> None:
    ratio = torch.tensor([[2.0, 2.0, 0.5, 0.5]])
    gains = clipped_loss(
        ratio.log(), torch.zeros(1, 4), torch.tensor([[1.0, -1.0, 1.0, -1.0]]), torch.ones(1, 4).bool(), 0.2
    )
    assert float(gains) == pytest.approx(-(1.2 - 2.0 + 0.5 - 0.8) / 4)


def test_an_update_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known mistakes: values without what was expected, advantages that are not scaled, padding in the value's loss."""
    model, reference, here = small(), small(seed=1), world()
    value = ScalarModel(model)
    torch.nn.init.normal_(value.body.out.weight, generator=gen(5))

    def utility(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return 3 * here.judge(ids).reward

    updater = keeping()
    monkeypatch.setattr("companion.text.chat.ppo.Updater", updater)
    monkeypatch.setattr("companion.text.chat.ppo.ScalarModel", lambda model: value)
    ppo(model, reference, here, utility, PPOConfig(0.4, 1, rollouts=12, passes=1, decay=0.8), gen(3), lambda policy: 0)

    g = gen(3)
    drawn = roll_out(model, reference, here, utility, here.starts(12, g), g)
    assert not drawn.mask.all()
    expected_now, log_p = value(drawn.ids[:, :-1]), token_log_probs(model, drawn.ids)
    found = []  # row, token, advantage
    for row in range(12):
        last, after, advantage = int(drawn.mask[row].sum()) - 1, 0.0, 0.0
        for t in range(last, -1, -1):
            reward = -0.4 * float(drawn.log_p[row, t] - drawn.log_ref[row, t])
            reward += float(drawn.utility[row]) if t == last else 0.0
            here_now = float(expected_now[row, t].detach())
            advantage = reward + after - here_now + 0.8 * advantage
            after = here_now
            found.append((row, t, advantage))
    everyone = torch.tensor([a for _, _, a in found])
    middle, spread = float(everyone.mean()), float(everyone.std(correction=0))
    gain = sum(log_p[row, t] * (a - middle) / spread for row, t, a in found) / len(found)
    error = sum(
        (expected_now[row, t] - (float(expected_now[row, t].detach()) + a)).square() for row, t, a in found
    ) / len(found)
    for kept, loss, net in zip(updater.kept, (-gain, error), (model, value), strict=True):
        for a, b in zip(kept, torch.autograd.grad(loss, net.parameters()), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_it_comes_near_the_optimum_from_a_known_start() -> None:
    model, here = small(), world()
    walks = AllWalks.of(here)
    log_ref = walks.log_probs(model)
    utility = 4 * walks.reward

    def watch(policy: torch.nn.Module) -> float:
        found = expected(walks, walks.log_probs(policy), log_ref, utility)
        return found.utility - 1.0 * found.kl

    best, _ = optimum(walks, walks.chances(log_ref), utility, 1.0)
    policy, before = copy.deepcopy(model), [p.clone() for p in model.parameters()]
    seen = ppo(
        policy,
        model,
        here,
        lambda ids, mask: 4 * here.judge(ids).reward,
        PPOConfig(1.0, 24, rollouts=64, lr=5e-3),
        gen(1),
        watch,
        12,
    )
    assert len(seen) == 3
    most = best.utility - best.kl
    assert most - seen[-1] < 0.2 * (most - seen[0]), (seen, most)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_bad_input() -> None:
    model, here = small(), world()
    with rejects("utility"):
        roll_out(model, model, here, lambda ids, mask: mask.sum(1), here.starts(4, gen()), gen())
    with rejects("utility"):
        roll_out(model, model, here, lambda ids, mask: here.judge(ids).reward / 0, here.starts(4, gen()), gen())
    with rejects("clip"):
        PPOConfig(1.0, 2, clip=1.5)
