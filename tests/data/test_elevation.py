"""The walk over the mountains is the piece of the file that it says it is."""

import matplotlib.cbook
import numpy as np
import pytest
import torch

from companion.data import CorruptFile
from companion.data.elevation import height_profile


def test_it_is_a_row_of_matplotlibs_own_sample():
    with matplotlib.cbook.get_sample_data("jacksboro_fault_dem.npz") as model:
        row = model["elevation"][200]
        width = float(model["xmax"] - model["xmin"])
        columns = model["elevation"].shape[1]
    walk = height_profile()
    assert walk.metres.tolist() == row[130:251].tolist()
    # On a round earth of 6,371 km, at 36.57° north.
    radius = 6371 * np.cos(np.radians(36.5663))
    assert float(walk.km[-1]) == pytest.approx(np.radians(width * 120 / columns) * radius, rel=0.01)


def test_points_are_evenly_spaced_and_typed():
    walk = height_profile()
    assert len(walk) == len(walk.metres) == 121 and walk.km.dtype == walk.metres.dtype == torch.float32
    assert float(walk.km[0]) == 0
    torch.testing.assert_close(walk.km.diff(), walk.km[1].expand(120))
    assert repr(walk).startswith("height_profile: 121 heights from 360 to 996 m along 8.9 km (")


def test_another_file_is_refused(monkeypatch, tmp_path):
    folder = tmp_path / "mpl-data" / "sample_data"
    folder.mkdir(parents=True)
    np.savez(folder / "jacksboro_fault_dem.npz", elevation=np.zeros((3, 3)))
    monkeypatch.setattr("companion.data.carriers.carrier_folder", lambda package, **how: tmp_path)
    with pytest.raises(CorruptFile, match="reinstall 'matplotlib'"):
        height_profile()
