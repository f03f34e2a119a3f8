"""The valleys: the bet comes before its runs, the shipped table is the recipe's, and a run of it comes out again."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from companion.scaling.laws import valleys
from companion.scaling.laws.family import count_parameters, family_config, tokens_for
from companion.scaling.laws.fit import ScalingLaw
from companion.scaling.laws.runs import Run, shipped_runs
from companion.scaling.laws.texts import load_texts
from companion.scaling.laws.valleys import (
    CANDIDATES,
    FAR,
    VALLEYS,
    far_widths,
    fit_runs,
    promised,
    rule_rate,
    train_member,
    train_valleys,
)
from companion.training.runs import RunTable
from tests.conftest import rejects

RUNS = shipped_runs("valleys")
NEAR = [run for run in RUNS if run.compute < FAR]
V = 79


def test_the_shipped_table_has_the_recipes_runs() -> None:
    wanted = {
        (compute, width, seed)
        for compute, (widths, seeds) in VALLEYS.items()
        for width in widths
        for seed in range(seeds)
    }
    assert {(run.compute, run.width, run.seed) for run in NEAR} == wanted
    assert all(run.rate == rule_rate(run.width, run.compute, V) and run.family == "today" for run in RUNS)


def test_a_shipped_run_comes_out_again() -> None:
    """Other processors add in another order, and a training multiplies the difference: 0.05 nats for a run that cost 2e9."""
    shipped = next(run for run in RUNS if (run.compute, run.width, run.seed) == (2e9, 16, 0))
    again = train_member(16, 2e9, load_texts(), seed=0)
    assert (again.parameters, again.table, again.tokens, again.spent) == (
        shipped.parameters, shipped.table, shipped.tokens, shipped.spent,
    )  # fmt: skip
    assert (again.valid, again.test) == pytest.approx((shipped.valid, shipped.test), abs=0.05)


def test_the_shipped_bet_is_what_the_runs_above_it_promise() -> None:
    """The table is in the order in which it was written: the bet stands behind all runs of the fit and before its own."""
    law = fit_runs(NEAR)
    widths = far_widths(NEAR, law, FAR, V)
    assert sorted(run.width for run in RUNS[len(NEAR) :]) == sorted(set(widths.values()))
    assert all(run.compute == FAR for run in RUNS[len(NEAR) :])
    lines = Path(valleys.__file__).with_name("valleys.csv").read_text().splitlines()
    bets = [number for number, line in enumerate(lines) if line.startswith("# the bet")]
    assert len(bets) == 4 and bets[-1] + 1 + len(set(widths.values())) == len(lines)
    for number, (why, width) in zip(bets, widths.items(), strict=True):
        found = re.search(r"2e\+12, (\w+): width (\d+), ([\d.]+) nats by the law of the (\d+) runs", lines[number])
        assert (found[1], int(found[2]), int(found[4])) == (why, width, len(NEAR))
        assert float(found[3]) == pytest.approx(promised(law, width, FAR, V), abs=0.01)


def test_every_valley_has_both_sides() -> None:
    """The smallest and the largest size are worse than the best, in the mean of the seeds."""
    for compute, (widths, _) in VALLEYS.items():
        loss = {}
        for width in widths:
            here = [run.valid for run in NEAR if (run.compute, run.width) == (compute, width)]
            loss[width] = sum(here) / len(here)
        assert min(loss, key=loss.get) not in (widths[0], widths[-1]), compute
        assert min(loss[widths[0]], loss[widths[-1]]) > min(loss.values()) + 0.01, compute


def test_far_widths_are_the_best_of_a_planted_law() -> None:
    """Losses that follow a law with alpha = beta, whose valleys are symmetric: both methods find its optimum."""
    law, runs = ScalingLaw(E=1.0, A=20.0, alpha=0.35, B=60.0, beta=0.35), []
    for compute in (1e11, 1e12, 1e13):
        for width in range(8, 224, 8):
            config = family_config(width, V)
            n, d = count_parameters(config), tokens_for(compute, config)
            runs.append(replace(RUNS[0], compute=compute, parameters=n, tokens=d, valid=float(law.loss(n, d))))
    widths = far_widths(runs, law, 1e12, V)
    size = {w: count_parameters(family_config(w, V)) for w in CANDIDATES}
    best = min(CANDIDATES, key=lambda w: promised(law, w, 1e12, V))
    assert widths["law"] == best
    assert size[widths["floors"]] / size[best] == pytest.approx(1, rel=0.5)
    assert size[widths["half"]] / size[widths["floors"]] == pytest.approx(0.5, rel=0.3)
    assert size[widths["twice"]] / size[widths["floors"]] == pytest.approx(2, rel=0.3)


def test_stopped_and_started_again_makes_the_same_table(tmp_path: Path) -> None:
    texts = load_texts(pieces=1)
    few = {"valleys": {2e7: ((4, 6, 8), 1), 4e7: ((4, 6, 8), 1)}, "far": 8e7}
    whole = RunTable(tmp_path / "whole.csv", Run)
    train_valleys(whole, texts, **few)
    assert 7 <= len(whole.runs) <= 10 and {run.compute for run in whole.runs[6:]} == {8e7}
    cut = RunTable(tmp_path / "cut.csv", Run)
    for run in whole.runs[:4]:
        cut.add(replace(run, seconds=77.0))
    train_valleys(cut, texts, **few)
    assert [replace(run, seconds=0.0) for run in cut.runs] == [replace(run, seconds=0.0) for run in whole.runs]
    assert [run.seconds == 77.0 for run in cut.runs] == [True] * 4 + [False] * (len(whole.runs) - 4)


def test_rejects() -> None:
    with rejects("compute"):
        train_member(8, 0.0, load_texts(pieces=1), seed=0)
