"""GRPO with a price: it earns more, and a higher price keeps it nearer to its start."""

import copy

import torch

from companion.text.chat.exact import AllWalks, best_at, expected
from companion.text.chat.group import GroupConfig, group_policy
from tests.conftest import gen, rejects
from tests.text.chat.model import small, world


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


def test_bad_input() -> None:
    with rejects("samples"):
        GroupConfig(1.0, 2, samples=1)
