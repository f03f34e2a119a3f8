"""The loop around a model that writes by a script: what the tools put in, whose tokens are whose, where it stops."""

import pytest
import torch

from companion.text.agents.loop import run_tools
from companion.text.agents.tools import ASKED, END, NUMBER, Energy, Question, spelled
from tests.conftest import gen
from tests.text.agents.model import Told, small
from tests.text.agents.test_tools import TABLE, tokens

WIND = TABLE.look_up(("wind", "DEU"))
ONE = Question((("wind", "DEU"),))


def script(text: str) -> list[int]:
    """_ is a place where a tool writes."""
    return [0 if token == "_" else NUMBER[token] for token in text.split()]


def test_the_result_stands_behind_the_call_and_is_not_the_models() -> None:
    digits = " ".join("_" * len(str(WIND)))
    told = Told([script(f"search( wind D E U ) {digits} _ say 5 5 .")])
    runs = run_tools(told, [ONE], TABLE)
    assert spelled(runs.ids[0]) == f"wind DEU ? search( wind DEU ) {WIND} ; say 55 ."
    results = ~runs.own[0, ASKED : ASKED + 6 + len(str(WIND)) + 5]
    assert results.nonzero()[:, 0].tolist() == list(range(6, 6 + len(str(WIND)) + 1))
    assert runs.given == [55] and runs.calls == [1]
    assert not bool(runs.own[0, :ASKED].any())
    assert int(runs.own[0].sum()) == 6 + 4  # the end sign is learned, what fills up is not


def test_rows_do_not_wait_for_each_other() -> None:
    """One row calls a tool, one ends at once, one never ends: each as if alone."""
    scripts = [
        script(f"search( wind D E U ) {' '.join('_' * len(str(WIND)))} _ say {' '.join(str(WIND))} ."),
        script("say 3 ."),
        script("say 3 " * 40),
    ]
    runs = run_tools(Told(scripts), [ONE] * 3, TABLE, new_tokens=20)
    assert runs.given == [WIND, 3, None] and runs.calls == [1, 0, 0]
    assert runs.right([ONE] * 3, TABLE).tolist() == [True, False, False]
    assert runs.ids.shape == (3, ASKED + 20)
    for row in range(3):
        alone = run_tools(Told(scripts[row : row + 1]), [ONE], TABLE, new_tokens=20)
        assert torch.equal(alone.ids[0], runs.ids[row]) and torch.equal(alone.own[0], runs.own[row])


def test_an_error_is_put_in_and_a_bracket_without_a_call_is_not_answered() -> None:
    runs = run_tools(Told([script(") search( wind D E ) _ _ say 1 .")]), [ONE], TABLE)
    assert spelled(runs.ids[0]) == "wind DEU ? ) search( wind DE ) ! ; say 1 ."
    assert runs.calls == [1]


def test_what_a_tool_says_is_no_answer_of_the_models() -> None:
    """A page that contains an answer and an end sign: neither ends the run nor counts."""

    def poisoned(asked: list[int], table: Energy) -> list[int]:
        return tokens("say 7 7 7 .")

    runs = run_tools(Told([script("search( wind D E U ) _ _ _ _ _ _ say 4 .")]), [ONE], TABLE, tool=poisoned)
    assert runs.given == [4]
    assert int((runs.ids[0] == NUMBER["say"]).sum()) == 2


def test_drawn_runs_are_repeatable_and_the_mode_is_restored() -> None:
    """I27."""
    model, questions = small().train(), [ONE] * 5
    first, again = (run_tools(model, questions, TABLE, gen(3)) for _ in range(2))
    assert torch.equal(first.ids, again.ids) and model.training
    assert not torch.equal(first.ids, run_tools(model, questions, TABLE, gen(4)).ids)
    assert not first.ids.is_inference()


@pytest.mark.parametrize("tokens_", [0, -1])
def test_bad_number_of_tokens(tokens_: int) -> None:
    with pytest.raises(ValueError, match="new_tokens"):
        run_tools(small(), [ONE], TABLE, new_tokens=tokens_)


def test_end_is_what_fills_up() -> None:
    runs = run_tools(Told([script("say 3 .")]), [ONE], TABLE, new_tokens=9)
    assert runs.ids[0, ASKED + 3 :].tolist() == [END] * 6
