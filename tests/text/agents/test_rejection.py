"""A round of rejection sampling: what is kept, the control, and whose tokens are learned."""

import pytest
import torch
from torch import Tensor

from companion.text.agents import rejection
from companion.text.agents.loop import Runs
from companion.text.agents.rejection import as_many, rejection_round, the_right
from companion.text.agents.tools import Question
from companion.training import TrainConfig
from tests.conftest import gen, rejects
from tests.text.agents.model import small
from tests.text.agents.test_tools import TABLE, tokens

ONE, TWO = Question((("wind", "DEU"),)), Question((("coal", "DEU"),))
WIND, COAL = (TABLE.look_up(question.terms[0]) for question in (ONE, TWO))
HOW = TrainConfig(steps=2, lr=1e-3, batch_size=4)


def made(given: list[int | None], lengths: list[int]) -> Runs:
    """Runs with these answers, and so many tokens of the model's own; row i begins with the token i."""
    ids = torch.tensor([[i, *tokens("? say 1 ! ; 2 . .")] for i in range(len(given))])
    own = torch.stack([(torch.arange(9) >= 2) & (torch.arange(9) < 2 + n) for n in lengths])
    return Runs(ids, own, given, [2] * len(given))


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """What a round hands to the training."""
    seen = []
    whole = rejection.train

    def spied(model, loss, data, config):
        seen.append(data)
        return whole(model, loss, data, config)

    monkeypatch.setattr(rejection, "train", spied)
    return seen


def test_of_each_question_the_shortest_right_run_is_kept(monkeypatch: pytest.MonkeyPatch, learned) -> None:
    """Six runs, three for each question: rows 1 and 2 are right for the first, row 2 shorter; of the second row 4 alone."""
    given = [None, WIND, WIND, COAL + 1, COAL, None]
    runs = made(given, [1, 4, 3, 1, 5, 1])
    monkeypatch.setattr(rejection, "run_tools", lambda *args: runs)
    _, found = rejection_round(small(), [ONE, TWO], TABLE, HOW, gen(0), samples=3)
    assert found.right.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert (found.calls, found.kept) == (2.0, 2)
    ids, own = learned[0]
    assert ids[:, 0].tolist() == [2, 4] and own.sum(1).tolist() == [3, 5]


def test_a_question_without_a_right_run_is_left_out(monkeypatch: pytest.MonkeyPatch, learned) -> None:
    monkeypatch.setattr(rejection, "run_tools", lambda *args: made([None, None, COAL, COAL], [1, 1, 2, 2]))
    assert rejection_round(small(), [ONE, TWO], TABLE, HOW, gen(0), samples=2)[1].kept == 1
    assert learned[0][0][:, 0].tolist() == [2]


def test_what_the_tools_wrote_is_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that differ in a result alone, behind all that the model wrote, give the same weights."""

    def trained(result: int) -> Tensor:
        runs = made([WIND] * 4, [2] * 4)
        runs.ids[:, 5] = result
        monkeypatch.setattr(rejection, "run_tools", lambda *args: runs)
        return rejection_round(small(), [ONE] * 2, TABLE, HOW, gen(0), samples=2)[0].tokens.weight

    assert torch.equal(trained(20), trained(21))


def test_the_control_keeps_as_many_and_does_not_look() -> None:
    right = (torch.arange(200) < 60).view(50, 4)
    assert torch.equal(the_right(right, gen(0)), right)
    kept = as_many(right, gen(0))
    assert kept.shape == (50, 4) and int(kept.sum()) == 60
    assert 5 < int((kept & right).sum()) < 32  # 18 by chance
    assert not torch.equal(kept, as_many(right, gen(1)))


def test_no_right_run() -> None:
    with rejects("questions: got no right answer to 3"):
        rejection_round(small(), [ONE] * 3, TABLE, HOW, gen(0))
