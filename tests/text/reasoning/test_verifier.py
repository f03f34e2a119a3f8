"""A verifier's belief: read at the end of the answer, learned from right and wrong."""

import torch

from companion.text.reasoning.parity import Parity
from companion.text.reasoning.verifier import belief, verifier_loss
from companion.training import TrainConfig, train
from tests.conftest import gen
from tests.text.reasoning.model import small

TASK = Parity(4, thinking=0.5)


def test_it_is_the_difference_of_two_logits_at_the_end_sign() -> None:
    model, (ids, mask) = small(TASK), TASK.demonstrations(8, gen())
    found = belief(model, ids, mask)
    logits = model(ids)
    for row in range(len(ids)):
        end = TASK.asked + ids[row, TASK.asked :].tolist().index(TASK.end)
        torch.testing.assert_close(found[row], logits[row, end, 1] - logits[row, end, 0])
    right = torch.tensor([True, False] * 4)
    torch.testing.assert_close(
        verifier_loss(model, (ids, mask, right)),
        -torch.where(right, found.sigmoid(), 1 - found.sigmoid()).log().mean(),
    )


def test_what_stands_behind_the_end_changes_no_belief() -> None:
    model, (ids, mask) = small(TASK), TASK.demonstrations(8, gen())
    behind = ~mask & (torch.arange(TASK.context) >= TASK.asked)
    other = torch.where(behind, torch.randint(4, ids.shape, generator=gen(1)), ids)
    assert not torch.equal(other, ids)
    torch.testing.assert_close(belief(model, other, mask), belief(model, ids, mask))


def test_it_learns_which_answers_are_right() -> None:
    """Long answers, of which every second one was made wrong in its last digit: the last two digits and the last bit tell."""
    task = Parity(4, thinking=1.0)
    ids, mask = task.demonstrations(1_200, gen())
    right = torch.rand(len(ids), generator=gen(1)) < 0.5
    last = task.asked + 3
    ids[:, last] = torch.where(right, ids[:, last], 1 - ids[:, last])
    how = TrainConfig(steps=150, batch_size=64, lr=1e-2)
    model = train(small(task), verifier_loss, (ids[:1_000], mask[:1_000], right[:1_000]), how).model
    with torch.no_grad():
        believed = belief(model, ids[1_000:], mask[1_000:]) > 0
    assert float((believed == right[1_000:]).float().mean()) > 0.95
