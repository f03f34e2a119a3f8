"""GRPO: advantages, the clipped objective and its gradient, what a token counts, and that a reward is learned."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.language.scoring import token_log_probs
from companion.text.reasoning.grpo import GRPOConfig, advantages, clipped_objective, grpo, right
from companion.text.reasoning.parity import Parity
from companion.text.reasoning.tasks import answer_loss, sampled
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects
from tests.text.reasoning.model import small

TASK = Parity(4, thinking=0.3)


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-5, 5, width=16), min_size=6, max_size=6), min_size=1, max_size=4))
def test_advantages_of_a_question_have_mean_0_and_spread_1_or_are_all_0(rewards: list[list[float]]) -> None:
    given_rewards = torch.tensor(rewards, dtype=torch.float64)
    found = advantages(given_rewards)
    torch.testing.assert_close(found.mean(1), torch.zeros(len(found), dtype=torch.float64), atol=1e-6, rtol=0)
    for row, alike in zip(found, (given_rewards.std(1, correction=0) == 0).tolist(), strict=True):
        assert float(row.std(correction=0)) == pytest.approx(0.0 if alike else 1.0, abs=1e-6)


def test_advantages_by_hand_and_without_nan_where_all_are_alike() -> None:
    found = advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 0.1]]))
    torch.testing.assert_close(found[0], torch.tensor([3.0, -1.0, -1.0, -1.0]) / 3**0.5)
    assert not found[1:].any()


def test_clipped_where_the_ratio_has_gone_as_far_as_it_may() -> None:
    """Four cases: too far up and too far down, with both signs; the gradient is gone where going on would pay."""
    log_p = torch.tensor([[1.5, 0.5], [1.5, 0.5]]).log().requires_grad_()
    gains = clipped_objective(log_p, torch.zeros(2, 2), torch.tensor([[1.0], [-1.0]]), clip=0.2)
    torch.testing.assert_close(gains, torch.tensor([[1.2, 0.5], [-1.5, -0.8]]))
    gains.sum().backward()
    torch.testing.assert_close(log_p.grad, torch.tensor([[0.0, 0.5], [-1.5, 0.0]]))


def test_at_first_the_gradient_is_that_of_reinforce() -> None:
    """ρ = 1: the gradient of Σ A log p, each token's weight 1 over all tokens."""
    model, asked = small(TASK), TASK.questions(3, gen(1))
    ids = sampled(model, TASK, asked, gen(2), samples=4)
    mask, advantage = TASK.judge(ids).mask[:, 1:].float(), torch.randn(12, 1, generator=gen(3))
    grads = []
    for objective in ("clipped", "reinforce"):
        copied = copy.deepcopy(model)
        log_p = token_log_probs(copied, ids)
        clipped = clipped_objective(log_p, log_p.detach(), advantage, 0.2)
        gains = clipped if objective == "clipped" else advantage * log_p
        ((gains * mask).sum() / mask.sum()).backward()
        grads.append(torch.cat([p.grad.flatten() for p in copied.parameters()]))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("own_length", [False, True])
def test_one_update_is_adamw_on_the_printed_objective(own_length: bool) -> None:
    """eq-grpo with every token's weight written out, and the first step of AdamW: the sign of the gradient times the rate."""
    model = small(TASK)
    by_hand, config = copy.deepcopy(model), GRPOConfig(1, questions=5, samples=6, lr=1e-3, own_length=own_length)
    (update,) = grpo(model, TASK, config, gen(4))
    g = gen(4)
    ids = sampled(by_hand, TASK, TASK.questions(5, g), g, samples=6)
    answers = TASK.judge(ids)
    assert update.right == update.reward == pytest.approx(float(answers.right.float().mean()))
    assert update.length == pytest.approx(float(answers.length.float().mean()))
    assert update.thinking == pytest.approx(float(answers.thinks.float().mean()))
    log_p = token_log_probs(by_hand, ids)
    rewards = answers.right.float().view(5, 6)
    total, tokens = torch.zeros(()), int(answers.mask.sum())
    for row in range(30):
        group = rewards[row // 6]
        spread = float(group.std(correction=0))
        advantage = (rewards.flatten()[row] - group.mean()) / spread if spread else 0.0
        places = answers.mask[row].nonzero()[:, 0] - 1
        weight = 1 / len(places) / 30 if own_length else 1 / tokens
        total = total - weight * advantage * log_p[row, places].sum()
    total.backward()
    norm = torch.cat([p.grad.flatten() for p in by_hand.parameters()]).norm()
    for trained, start in zip(model.parameters(), by_hand.parameters(), strict=True):
        moved, grad = trained.detach() - start.detach(), start.grad * min(1.0, 1 / float(norm))
        wanted = -1e-3 * grad / (grad.abs() + 1e-8)
        torch.testing.assert_close(moved, wanted, atol=2e-5, rtol=0.02)


def test_the_second_pass_compares_with_the_probabilities_at_the_draw_and_is_clipped() -> None:
    """Two passes over one draw, by hand: ρ is 1 in the first; in the second what has gone too far has no gradient any more."""
    model, config = small(TASK), GRPOConfig(1, questions=5, samples=6, lr=0.03, passes=2, clip=0.05)
    by_hand, start = copy.deepcopy(model), flat(model)
    grpo(model, TASK, config, gen(4))
    g = gen(4)
    ids = sampled(by_hand, TASK, TASK.questions(5, g), g, samples=6)
    answers = TASK.judge(ids)
    advantage = advantages(answers.right.float().view(5, 6)).flatten()[:, None]
    mask = answers.mask[:, 1:]
    drawn = token_log_probs(by_hand, ids).detach()
    optimizer = torch.optim.AdamW(by_hand.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    stopped = []
    for lr in (0.03, 0.03):  # a tenth of two steps of warm-up is none, and the rate does not fall
        for group in optimizer.param_groups:
            group["lr"] = lr
        ratio = (token_log_probs(by_hand, ids) - drawn).exp()
        gone = ((ratio > 1.05) & (advantage > 0)) | ((ratio < 0.95) & (advantage < 0))
        stopped.append(int((gone & mask).sum()))
        kept = torch.where(gone, ratio.detach().clamp(0.95, 1.05), ratio) * advantage
        optimizer.zero_grad()
        (-(kept * mask).sum() / mask.sum()).backward()
        torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)
        optimizer.step()
    assert stopped[0] == 0 < stopped[1]
    # As a whole: where a gradient is nothing but rounding, as that of the keys' bias, AdamW makes steps of it.
    assert float((flat(model) - flat(by_hand)).norm() / (flat(by_hand) - start).norm()) < 0.05


def test_a_right_answer_is_worth_1_and_another_0() -> None:
    answers = TASK.judge(TASK.demonstrations(5, gen())[0])
    assert right(answers, gen()).tolist() == [1.0] * 5
    wrong = TASK.judge(1 - TASK.demonstrations(5, gen())[0].clamp(max=1))
    assert right(wrong, gen()).tolist() == [0.0] * 5


@pytest.mark.parametrize("wanted", ["long", "short"])
def test_what_is_rewarded_is_done_more(wanted: str) -> None:
    start = train(small(TASK), answer_loss, TASK.demonstrations, TrainConfig(steps=120, lr=1e-2)).model

    def reward(answers, generator):
        return (answers.thinks if wanted == "long" else ~answers.thinks).float()

    found = grpo(start, TASK, GRPOConfig(12, lr=3e-3, passes=2), gen(1), reward)
    first, last = found[0].thinking, found[-1].thinking
    assert 0.1 < first < 0.6
    assert last > 0.9 if wanted == "long" else last < 0.05


def test_where_every_reward_is_alike_nothing_is_learned() -> None:
    model = small(TASK)
    before = copy.deepcopy(model.state_dict())
    grpo(model, TASK, GRPOConfig(2), gen(), lambda answers, generator: torch.ones(len(answers.right)))
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], atol=0, rtol=0)


def test_rejects() -> None:
    with rejects("updates"):
        GRPOConfig(0)
    with rejects("clip"):
        GRPOConfig(1, clip=0.0)
    for samples in (0, 1):
        with rejects("samples"):
            GRPOConfig(1, samples=samples)
    with rejects("clip"):
        GRPOConfig(1, clip=1.5)


@pytest.mark.parametrize("wrong", [torch.ones(3), torch.ones(128, dtype=torch.int64), torch.full((128,), torch.nan)])
def test_rejects_rewards_that_are_none(wrong: torch.Tensor) -> None:
    with rejects("reward: got .* wanted a finite floating-point number for each of 128 answers"):
        grpo(small(TASK), TASK, GRPOConfig(1), gen(), lambda answers, generator: wrong)
