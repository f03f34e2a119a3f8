"""Imitating right answers: what is kept, what is learned, and that the odds of thinking double."""

import pytest
import torch
from torch import Tensor, nn

from companion.text.reasoning.imitation import imitate
from companion.text.reasoning.parity import END, Parity, running_parity
from companion.training import TrainConfig
from tests.conftest import gen, rejects
from tests.oracles import Rereader

TASK = Parity(4)


class Thinker(Rereader):
    """Two ways to answer and nothing else: the running parities, or the first bit alone.

    It has one weight, the logarithm of the odds of thinking. The first token of an answer is always the first bit; the
    second says which way was chosen. At once it is right for the questions whose parity is their first bit: every second.
    """

    def __init__(self, log_odds: float) -> None:
        super().__init__()
        self.log_odds = nn.Parameter(torch.tensor([log_odds]))
        self.config = TASK  # a context and a vocabulary

    def logits(self, ids: Tensor) -> Tensor:
        logits = torch.full((*ids.shape, 4), -30.0)
        parities = running_parity(ids[:, : TASK.bits]).float()
        for place in range(TASK.asked - 1, ids.shape[1]):
            step = place - TASK.asked + 1
            if step < TASK.bits:
                logits[:, place, 0], logits[:, place, 1] = -30 * parities[:, step], 30 * parities[:, step] - 30
            if step == 1:  # on, or to the end
                logits[:, place, END] = 0.0
                on = parities[:, 1:2] == torch.tensor([0.0, 1.0])
                logits[:, place, :2] = torch.where(on, self.log_odds, torch.tensor(-30.0))
            if step >= TASK.bits:
                logits[:, place, END] = 30.0
        return logits


def odds(model: Thinker) -> float:
    return float(model.log_odds.detach().exp())


def test_a_round_doubles_the_odds_of_thinking() -> None:
    """An answer at once is right for every second question, one that thinks for all; learned till the end, the odds double."""
    model = Thinker(log_odds=-1.4)
    for seed in (0, 1):
        before = odds(model)
        model, found = imitate(model, TASK, 3_000, TrainConfig(steps=60, batch_size=256, lr=0.06, seed=seed), gen(seed))
        share = before / (1 + before)
        assert found.thinking == pytest.approx(share, abs=0.02)
        assert found.right == pytest.approx(share + (1 - share) / 2, abs=0.02)
        assert found.thinking_kept == pytest.approx(2 * share / (1 + share), abs=0.02)
        assert odds(model) == pytest.approx(2 * before, rel=0.12)


def test_rejects_where_nothing_is_right() -> None:
    class Mute(Thinker):
        def forward(self, ids: Tensor, past_key_values=None, attention_mask=None) -> Tensor:
            return torch.nn.functional.one_hot(torch.full(ids.shape, END), 4) * 30.0 + 0 * self.log_odds

    with rejects("no right answer"):
        imitate(Mute(0.0), TASK, 20, TrainConfig(steps=1), gen())
