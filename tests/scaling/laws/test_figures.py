"""What the figures show is what the runs say: the arrays behind the lines."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import torch

from companion.metrics.intervals import Interval
from companion.scaling.laws import figures
from companion.scaling.laws.fit import ScalingLaw
from companion.scaling.laws.isoflop import Valley
from companion.scaling.laws.runs import Run
from companion.scaling.published import MODELS

BASE = Run("today", 2e9, 8, 0.02, 0, 2336, 632, 76_800, 2e9, 2.5, 2.6, 1.0)
LAW = ScalingLaw(E=1.2, A=20.0, alpha=0.35, B=300.0, beta=0.45)
ROW = [
    replace(BASE, parameters=n, seed=seed, valid=loss + 0.1 * seed, test=loss + 0.1 * seed + 1)
    for n, loss in ((7000, 2.4), (1000, 2.8), (2500, 2.2))
    for seed in (0, 1)
]
NEAR = {2e9: ROW, 2e10: [replace(run, compute=2e10, valid=run.valid - 0.3) for run in ROW]}


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    yield
    plt.close("all")


def data(line) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def test_by_size_is_the_mean_of_the_seeds_in_order() -> None:
    assert list(figures.by_size(ROW)) == [1000, 2500, 7000]
    assert list(figures.by_size(ROW).values()) == pytest.approx([2.85, 2.25, 2.45])


def test_valleys() -> None:
    figures.draw_valleys(NEAR)
    ax = plt.gca()
    assert [data(line) for line in ax.lines] == [list(figures.by_size(row).items()) for row in NEAR.values()]
    assert [text.get_text() for text in ax.texts] == ["2 G", "20 G"]


def test_seeds_are_single_dots() -> None:
    figures.draw_seeds(ROW, ROW[:2])
    table, again = plt.gca().lines
    assert data(table) == [(run.parameters, run.valid) for run in ROW] and len(data(again)) == 2


def test_floors_stand_where_the_parabola_has_its_minimum() -> None:
    floors = {c: Valley(3000.0, 2.1, 0.2) for c in NEAR}
    figures.draw_floors(NEAR, floors, {c: Interval(2000, 4000, 0.9) for c in NEAR})
    ax = plt.gca()
    _, curve, bar, *_ = ax.lines
    assert min(y for _, y in data(curve)) == pytest.approx(2.1, abs=1e-3)
    assert data(bar) == [(2000, 2.1), (4000, 2.1)]


def test_bet_shows_the_law_the_runs_and_the_band() -> None:
    far = [replace(run, compute=2e11, valid=1.9) for run in ROW[:4]]
    laws = [ScalingLaw(1.2 + shift, 20.0, 0.35, 300.0, 0.45) for shift in (-0.1, 0.0, 0.1)]
    figures.draw_bet(NEAR, far, LAW, laws, 79)
    ax = plt.gca()
    curve, stars = ax.lines[4], ax.lines[5]
    assert data(stars) == list(figures.by_size(far).items())
    assert len(data(curve)) > 50 and all(1.0 < y < 5 for _, y in data(curve))
    band = torch.from_numpy(ax.collections[0].get_paths()[0].vertices)
    assert float(band[:, 1].max()) > max(y for _, y in data(curve)) + 0.05


def test_constant_shows_every_law_and_the_mark() -> None:
    figures.draw_constant([0.5, 0.9, 1.1], [1.7, 1.71, 1.72], 1.3)
    ax = plt.gca()
    assert sum(patch.get_height() for patch in ax.patches) == 6
    assert ax.lines[0].get_xdata()[0] == 1.3


def test_families_show_means_of_the_test_text() -> None:
    won = {"today": [ROW[:2], [replace(run, compute=1e10) for run in ROW[2:4]]]}
    figures.draw_families(won, [2.0, 1.9])
    ax = plt.gca()
    today = ax.containers[0].lines[0]
    assert data(today) == [(2e9, pytest.approx(3.45)), (1e10, pytest.approx(3.85))]
    assert data(ax.lines[-1]) == [(2e9, 2.0), (1e10, 1.9)]


def test_map_names_every_model_whose_size_and_tokens_are_known() -> None:
    figures.draw_map(ROW, ROW[:1])
    ax = plt.gca()
    known = {one.name for one in MODELS if one.parameters and one.tokens}
    assert known == {text.get_text() for text in ax.texts if not text.get_text().startswith("$")}
