"""Heights along a straight line over real mountains, from the height model that matplotlib carries among its samples.

The file holds a grid of heights in metres around the Jacksboro fault, 36.45° to 36.73° north and 84.08° to 84.41° west
(Tennessee), one point in every three seconds of arc. `height_profile` is a piece of one of its rows, walked from west to east.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion.data.carriers import carrier_file
from companion.data.sets import DataSet

ROW, FIRST, POINTS = 200, 130, 121  # a piece with three summits, a saddle and a low end
KM_PER_DEGREE = 111.2  # of latitude; of longitude times the cosine of the latitude


@dataclass(frozen=True, kw_only=True)
class HeightProfile(DataSet):
    """A walk over mountains.

    Attributes:
        km: float32, how far each point is from the start.
        metres: float32, its height above the sea.
    """

    km: Float[Tensor, "n"]
    metres: Float[Tensor, "n"]

    def __len__(self) -> int:
        return len(self.km)

    def __repr__(self) -> str:
        low, high = self.metres.min(), self.metres.max()
        where = f"{len(self)} heights from {low:.0f} to {high:.0f} m along {self.km[-1]:.1f} km"
        return f"{self.name}: {where} ({self.license}; {self.source})"


def height_profile() -> HeightProfile:
    """121 heights along 9 km, every 74 m.

    Raises:
        MissingCarrier: matplotlib came without its samples.
        CorruptFile: its file is not the known one.
    """
    file = carrier_file(
        "matplotlib",
        "mpl-data/sample_data/jacksboro_fault_dem.npz",
        "d493f50a33e82a4420494c54d1fca1539d177bdc27ab190bc5fe6e92f62fb637",
        distribution="matplotlib",
        extra="data",
    )
    with np.load(file) as model:
        heights, step = model["elevation"], float(model["dx"])
        north = max(float(model["ymin"]), float(model["ymax"])) - ROW * float(model["dy"])
    spacing = step * KM_PER_DEGREE * math.cos(math.radians(north))
    piece = heights[ROW, FIRST : FIRST + POINTS].astype(np.float32)
    return HeightProfile(
        name="height_profile",
        split="all",
        license="matplotlib's licence",
        source="matplotlib, mpl-data/sample_data/jacksboro_fault_dem.npz",
        km=torch.arange(POINTS, dtype=torch.float32) * spacing,
        metres=torch.from_numpy(piece),
    )
