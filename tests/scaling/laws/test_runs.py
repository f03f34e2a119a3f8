"""The shipped runs of the scaling laws: none twice, and none that is no training."""

import pytest

from companion.scaling.laws.runs import shipped_runs


@pytest.mark.parametrize("recipe", ["valleys", "families"])
def test_shipped_runs_spent_what_they_were_given(recipe: str) -> None:
    """To within half a batch; and every loss is a loss."""
    runs = shipped_runs(recipe)
    assert len({run.key for run in runs}) == len(runs) > 60
    for run in runs:
        per_batch = run.spent / run.tokens * 256
        assert run.tokens % 256 == 0 and abs(run.spent - run.compute) <= per_batch / 2
        assert 0 < run.table < run.parameters and run.seconds > 0
        assert run.valid == run.test == float("inf") or 1 < run.valid < 5 > run.test > 1


@pytest.mark.parametrize("recipe", ["valleys", "families"])
def test_a_recipe_takes_at_most_ninety_minutes_on_two_cores(recipe: str) -> None:
    assert sum(run.seconds for run in shipped_runs(recipe)) <= 2 * 90 * 60
