"""GRPO with a price: it earns more, and a higher price keeps it nearer to its start."""

import copy
import math

import pytest
import torch

from companion.language.scoring import token_log_probs
from companion.text.chat.exact import AllWalks, best_at, expected
from companion.text.chat.group import GroupConfig, group_policy
from companion.text.chat.rollouts import roll_out
from tests.conftest import gen, rejects
from tests.text.chat.model import keeping, small, world


def test_it_earns_more_and_a_price_holds_it_near() -> None:
    model, here = small(), world()
    walks = AllWalks.of(here)
    log_ref = walks.log_probs(model)

    def watch(policy: torch.nn.Module):
        return expected(walks, walks.log_probs(policy), log_ref, walks.reward)

    ends = []
    for beta in (0.02, 1.0):
        seen = group_policy(
            copy.deepcopy(model), model, here, lambda ids, mask: here.judge(ids).reward,
            GroupConfig(beta, 16, starts=8, lr=5e-3), gen(1), watch, 8,
        )  # fmt: skip
        assert len(seen) == 3 and seen[0].kl == 0
        ends.append(seen[-1])
    assert ends[0].utility > seen[0].utility + 0.3 and ends[0].kl > 2 * ends[1].kl > 0
    for end in ends:
        assert end.utility < best_at(walks, walks.chances(log_ref), walks.reward, end.kl) + 1e-9


def test_an_update_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known mistakes: the divergence of the other direction, and padding in the loss."""
    model, reference, here = small(), small(seed=1), world()

    def utility(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return here.judge(ids).reward

    updater = keeping()
    monkeypatch.setattr("companion.text.chat.group.Updater", updater)
    config = GroupConfig(0.7, 1, starts=6, samples=4, passes=1)
    group_policy(model, reference, here, utility, config, gen(3), lambda policy: None)

    g = gen(3)
    drawn = roll_out(model, reference, here, utility, here.starts(6, g).repeat_interleave(4, 0), g)
    assert not drawn.mask.all()
    log_p, loss = token_log_probs(model, drawn.ids), 0.0
    for row in range(24):
        group = drawn.utility[4 * (row // 4) : 4 * (row // 4) + 4]
        spread = float(group.std(correction=0))
        advantage = float(drawn.utility[row] - group.mean()) / spread if spread > 0 else 0.0
        for t in range(int(drawn.mask[row].sum())):
            x = float(drawn.log_p[row, t] - drawn.log_ref[row, t])
            loss = loss + (0.7 * (1 - math.exp(-x)) - advantage) * log_p[row, t]  # k3 has the slope 1 - exp(-x)
    wanted = torch.autograd.grad(loss / drawn.mask.sum(), model.parameters())
    for a, b in zip(updater.kept[0], wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_bad_input() -> None:
    with rejects("samples"):
        GroupConfig(1.0, 2, samples=1)
