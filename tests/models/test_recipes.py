"""Each recipe runs through in seconds, and the shipped weights are as good as their cards say."""

import subprocess
import sys
from pathlib import Path

import pytest

from companion import weights
from companion.models import all_recipes, make_weights
from tests.conftest import rejects

RECIPES = all_recipes()
FOLDER = Path(weights.__file__).parent
LARGEST_IN_ALL = 48_000_000
LONGEST = 90 * 60  # seconds on two cores


def test_every_recipe_has_its_weights_and_every_weights_their_recipe() -> None:
    assert set(RECIPES) == set(weights.names())
    assert {file.stem for file in FOLDER.glob("*.safetensors")} == set(RECIPES)
    assert not [*FOLDER.glob("*.part")]


def test_the_weights_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in FOLDER.glob("*.safetensors")}
    assert all(size < weights.LARGEST + 50_000 for size in sizes.values()), sizes  # the names take a little
    assert sum(sizes.values()) < LARGEST_IN_ALL


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_card_says_what_the_recipe_says(name: str) -> None:
    card, recipe = weights.card(name), RECIPES[name]
    assert (card.name, card.about, card.data, card.seed) == (name, recipe.about, recipe.data, recipe.seed)
    assert recipe.name == name
    assert card.seconds <= 2 * LONGEST  # the card counts those of one core
    assert card.parameters == sum(p.numel() for p in recipe.build().parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_shipped_weights_are_as_good_as_the_card_says(name: str) -> None:
    recipe, card = RECIPES[name], weights.card(name)
    measured = recipe.measure(weights.load_weights(name, recipe.build()))
    assert measured.keys() == card.quality.keys()
    for measure, value in measured.items():
        # Processors add in different orders, so a sampled figure may move a little; a wrong file would move it a lot.
        assert value == pytest.approx(card.quality[measure], rel=0.05, abs=0.02), measure


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_each_recipe_runs_through(name: str, tmp_path: Path) -> None:
    """Every step of it, on a few examples; the test above measures the shipped weights on all."""
    shipped = (FOLDER / f"{name}.safetensors").read_bytes()
    card = make_weights(name, smoke=True, folder=tmp_path / "made", checkpoint=tmp_path / "state" / "checkpoint")
    assert card.quality.keys() == weights.card(name).quality.keys()
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == [f"{name}.json", f"{name}.safetensors"]
    assert not [*(tmp_path / "state").iterdir()]
    assert (FOLDER / f"{name}.safetensors").read_bytes() == shipped


def test_bad_input(tmp_path: Path) -> None:
    with rejects("name"):
        make_weights("nothing")
    with rejects("smoke"):
        make_weights(sorted(RECIPES)[0], smoke=True)
    with rejects("seed"):
        make_weights(sorted(RECIPES)[0], seed=-1, folder=tmp_path)


def test_the_command_line_explains_itself() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "companion", "train", sorted(RECIPES)[0], "--smoke"], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "it must not replace the shipped weights" in run.stderr
