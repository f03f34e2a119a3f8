"""A round of rejection sampling: what is kept, the control, whose tokens are learned, and that it teaches which call is needed."""

import pytest
import torch

from companion.text.agents import rejection
from companion.text.agents.loop import Runs
from companion.text.agents.rejection import as_many, rejection_round, the_right
from companion.text.agents.tools import Question
from companion.training import TrainConfig
from tests.conftest import gen, rejects
from tests.text.agents.model import small
from tests.text.agents.test_tools import TABLE, tokens

ONE = Question((("wind", "DEU"),))
WIND = TABLE.look_up(("wind", "DEU"))
HOW = TrainConfig(steps=2, lr=1e-3, batch_size=4)


def made(given: list[int | None]) -> Runs:
    """Runs with these answers; row i begins with the token i."""
    ids = torch.tensor([[i, *tokens("? say 1 ! ; 2 .")] for i in range(len(given))])
    own = torch.zeros_like(ids, dtype=torch.bool)
    own[:, 2:4] = True
    return Runs(ids, own, given, [2] * len(given))


def test_it_keeps_the_right_ones_and_those_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "run_tools", lambda *args: made([WIND, None, WIND + 1, WIND]))
    model, found, kept = rejection_round(small(), [ONE] * 4, TABLE, HOW, gen(0))
    assert (found.right, found.calls, found.kept) == (0.5, 2.0, 2)
    assert kept[0][:, 0].tolist() == [0, 3]
    _, again, both = rejection_round(model, [ONE] * 4, TABLE, HOW, gen(0), kept)
    assert again.kept == 4 and both[0][:, 0].tolist() == [0, 3, 0, 3]


def test_what_the_tools_wrote_is_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kept runs that differ in a result alone, behind all that the model wrote, give the same weights."""
    def trained(result: int) -> torch.Tensor:
        runs = made([WIND] * 4)
        runs.ids[:, 5] = result
        monkeypatch.setattr(rejection, "run_tools", lambda *args: runs)
        return rejection_round(small(), [ONE] * 4, TABLE, HOW, gen(0))[0].tokens.weight

    assert torch.equal(trained(20), trained(21))


def test_the_control_keeps_as_many_and_does_not_look() -> None:
    right = torch.arange(200) < 60
    assert torch.equal(the_right(right, gen(0)), right)
    kept = as_many(right, gen(0))
    assert int(kept.sum()) == 60
    assert 5 < int((kept & right).sum()) < 32  # 18 by chance
    assert not torch.equal(kept, as_many(right, gen(1)))


def test_no_right_run() -> None:
    with rejects("questions: got no right answer to 3"):
        rejection_round(small(), [ONE] * 3, TABLE, HOW, gen(0))
