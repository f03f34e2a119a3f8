"""Rollouts: the log-probabilities are those of the drawn tokens, under both models, and the first token does not count."""

import torch

from companion.language.scoring import token_log_probs
from companion.text.chat.rollouts import draw, roll_out
from tests.conftest import gen
from tests.text.chat.model import small, world


def test_what_was_drawn_is_scored_under_both_models() -> None:
    model, reference, here = small(seed=1).train(), small(seed=2), world()
    starts = here.starts(30, gen(0))
    drawn = roll_out(model, reference, here, lambda ids, mask: mask.sum(1).float(), starts, gen(1))
    assert torch.equal(drawn.ids[:, :1], starts) and drawn.ids.shape == (30, 5)
    assert torch.equal(drawn.mask, here.judge(drawn.ids).mask[:, 1:])
    torch.testing.assert_close(drawn.log_p, token_log_probs(model, drawn.ids))
    torch.testing.assert_close(drawn.log_ref, token_log_probs(reference, drawn.ids))
    torch.testing.assert_close(drawn.utility, drawn.mask.sum(1).float())
    assert not drawn.log_p.requires_grad and model.training


def test_beginnings_stay_and_draws_differ() -> None:
    model, here = small(), world()
    starts = here.starts(20, gen(0))
    one, two = (draw(model, here, starts, gen(seed)) for seed in (1, 2))
    assert torch.equal(one[:, 0], two[:, 0]) and not torch.equal(one, two)
    assert torch.equal(one, draw(model, here, starts, gen(1)))
