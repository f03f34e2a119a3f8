"""Published energy: the numbers against each other and against the grids' intensities."""

import pytest

from companion.data.energy_mix import national_grid
from companion.ethics.energy.published import TASKS, TRAININGS


def test_pue_is_applied_once() -> None:
    """The mistake: 1,287 MWh of GPT-3 contain the building. With the grid that they imply, PUE once more gives too much."""
    gpt3 = TRAININGS[0]
    assert gpt3.energy.grams(gpt3.grams_per_kwh) / 1e6 == pytest.approx(552)
    assert gpt3.energy.grams(gpt3.grams_per_kwh, pue=1.1) / 1e6 == pytest.approx(552 * 1.1)
    with pytest.raises(ValueError, match="pue"):
        gpt3.energy.grams(429, pue=0.9)


def test_per_thousand_is_not_per_item() -> None:
    """The mistake: 47 watt-hours for a thousand texts, read as 47 for one."""
    found = {task.name: task.watt_hours_per_item for task in TASKS}
    assert found["write a text"] == pytest.approx(0.047)
    assert found["draw an image"] == pytest.approx(2.907)
    assert found["classify a text"] == pytest.approx(0.002)
    assert found["answer a prompt (Gemini)"] == pytest.approx(0.24)


def test_blooms_published_numbers_agree() -> None:
    """1,082,990 hours at 400 watts are the published energy; the implied grid is France's."""
    bloom = TRAININGS[1]
    assert bloom.energy.kwh == pytest.approx(1_082_990 * 0.4, rel=1e-5)
    assert bloom.grams_per_kwh == pytest.approx(national_grid("FRA").grams_per_kwh, rel=0.05)
