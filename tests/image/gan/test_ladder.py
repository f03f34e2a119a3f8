"""The ladder: one change a rung, runs that are made once, and a shipped table that has them all."""

from pathlib import Path

import pytest
import torch

from companion.__main__ import main
from companion.data import digits
from companion.data.stacked import MODES, Stacks
from companion.image.gan import ladder
from companion.image.gan.ladder import (
    ROUNDS,
    RUNGS,
    TABLE,
    Climb,
    climb,
    make_ladder,
    measured,
    players,
    shipped_climbs,
)
from companion.image.gan.reading import grey, read_nearest
from companion.metrics.class_coverage import coverage
from companion.metrics.digit_judge import cnn_fid
from tests.conftest import gen, rejects


def parts(rung: str) -> dict[str, object]:
    one = RUNGS[rung]
    return {
        "beta": one.beta, "network": one.network, "pairing": type(one.game.pairing), "r1": one.game.r1, "r2": one.game.r2,
        "rate": one.rate,
    }  # fmt: skip


def test_each_rung_changes_one_thing() -> None:
    """The way from DCGAN to R3GAN's network; the control differs from the rung with both penalties by the pairs alone."""
    way = [rung for rung in RUNGS if rung != "R1, R2"]
    for before, after in zip(way, way[1:], strict=False):
        a, b = parts(before), parts(after)
        assert sum(a[key] != b[key] for key in a) == 1, (before, after)
    a, b = parts("R1, R2"), parts("pairs, R1, R2")
    assert [key for key in a if a[key] != b[key]] == ["pairing"]
    assert parts("residual")["r1"] == parts("residual")["r2"] > 0


def test_players_of_a_seed_are_the_same_and_of_a_kind() -> None:
    one, same, other = (players("plain", seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["G.net.0.weight"], other["G.net.0.weight"])
    norms = {kind: sum("running_mean" in key for key in players(kind, 0).state_dict()) for kind in ("norm", "plain")}
    assert norms["norm"] >= 3 and norms["plain"] == 0


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "COMPARED", 50)
    stacks = Stacks.small(digits("train"))
    images = Stacks.small(digits("valid")).draw(80, gen(1))[0]
    modes, kl, distance = measured(images, stacks)
    spread = coverage(read_nearest(images, stacks.digits), MODES)
    assert (modes, kl) == (spread.found, spread.kl)
    real = stacks.draw(100, gen(2))[0]
    assert distance == pytest.approx(cnn_fid(grey(images[:50]), grey(real)), rel=1e-4)


def test_a_rung_is_trained_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def spy(model, loss, data, config):
        seen.update(loss=loss, config=config)
        return type("Result", (), {"model": model})

    monkeypatch.setattr(ladder, "train", spy)
    climb("DCGAN", 3, Stacks.small(digits("train", limit=100)), 7)
    assert seen["loss"] is RUNGS["DCGAN"].game and seen["config"].betas[0] == 0.5
    assert (seen["config"].steps, seen["config"].lr, seen["config"].seed) == (14, 2e-3, 3)
    climb("residual, slow", 3, Stacks.small(digits("train", limit=100)), 7)
    assert seen["config"].lr == 5e-4


def test_the_shipped_table_has_every_rung_once() -> None:
    climbs = shipped_climbs()
    assert [c.key for c in climbs] == [(rung, one.rate, 0, ROUNDS) for rung, one in RUNGS.items()]
    assert all(0 < c.modes <= MODES and 0 < c.kl and 0 < c.distance and c.seconds > 0 for c in climbs)
    assert sum(c.seconds for c in climbs) <= 90 * 60
    assert "python -m companion measure gan_ladder" in TABLE.read_text()


@pytest.mark.slow
def test_it_runs_through_as_a_command_and_makes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, table = TABLE.read_bytes(), tmp_path / "table.csv"
    monkeypatch.setattr("sys.argv", ["companion", "measure", "gan_ladder", "--smoke", "--table", str(table)])
    main()
    assert f"gan_ladder: {len(RUNGS)} runs" in capsys.readouterr().out
    made = table.read_bytes()
    assert len(make_ladder(smoke=True, path=table)) == len(RUNGS)
    assert table.read_bytes() == made and TABLE.read_bytes() == before


def test_bad_input() -> None:
    with rejects("path"):
        make_ladder(smoke=True)
    with rejects("network"):
        players("recurrent", 0)
    with rejects("rung"):
        climb("tenth", 0, Stacks.small(digits("train", limit=100)))
    assert Climb("a", 1.0, 0, 1, 1.0, 1.0, 1.0, 1.0).key == ("a", 1.0, 0, 1)
