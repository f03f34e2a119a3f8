"""The carbon intensity of electricity in each country, from the table that the package ``codecarbon`` carries (MIT licence).

The numbers are grams of carbon dioxide equivalents for a kilowatt-hour generated, a mean over a year, most of 2022 or 2023.
A mean hides hours and regions; what a further kilowatt-hour causes (the marginal plant) can be far from it. The table goes
back to Our World in Data and Ember. One country of it has exactly 0, where nothing was counted: it is left out.
"""

import json
from dataclasses import dataclass
from functools import cache

from companion.data.carriers import carrier_file


@dataclass(frozen=True)
class Grid:
    """The electricity of a country.

    Attributes:
        code: ISO 3166's three letters.
        country: the name.
        grams_per_kwh: grams of CO2 equivalents for a kilowatt-hour.
        low_carbon: the share that comes from nuclear power and renewables.
        year: of the numbers.
    """

    code: str
    country: str
    grams_per_kwh: float
    low_carbon: float
    year: int


@dataclass(frozen=True)
class Mix:
    """What a country's electricity was made of.

    Attributes:
        code: ISO 3166's three letters.
        country: the name.
        year: of the numbers.
        twh: what was generated, in terawatt-hours.
        shares: per cent of it by source, in whole numbers of at least 1, the largest first.
    """

    code: str
    country: str
    year: int
    twh: float
    shares: tuple[tuple[str, int], ...]


SOURCES = {
    "coal": "coal_TWh", "gas": "gas_TWh", "oil": "oil_TWh", "nuclear": "nuclear_TWh", "hydro": "hydroelectricity_TWh",
    "wind": "wind_TWh", "solar": "solar_TWh", "biofuel": "biofuel_TWh", "other": "other_renewable_exc_biofuel_TWh",
}  # fmt: skip


@cache
def national_mixes() -> tuple[Mix, ...]:
    """All countries with at least 0.1 TWh and a source that gave one per cent or more, by name.

    ``"other"`` is what is renewable and none of the rest, most of it geothermal power.

    Raises:
        MissingCarrier: ``codecarbon`` is not installed.
        CorruptFile: its table is not the known one.
    """
    found = []
    for code, row in _table().items():
        total = row["total_TWh"]
        if total < 0.1:
            continue
        shares = {source: round(100 * row[column] / total) for source, column in SOURCES.items()}
        largest = sorted(((s, n) for s, n in shares.items() if n), key=lambda item: -item[1])
        if largest:
            found.append(Mix(code, row["country_name"], int(row["year"]), float(total), tuple(largest)))
    return tuple(sorted(found, key=lambda mix: mix.country))


@cache
def national_grids() -> tuple[Grid, ...]:
    """All countries of the table, the cleanest first.

    Raises:
        MissingCarrier: ``codecarbon`` is not installed.
        CorruptFile: its table is not the known one.
    """
    found = [
        Grid(
            code,
            row["country_name"],
            float(row["carbon_intensity"]),
            row["low_carbon_TWh"] / row["total_TWh"],
            int(row["year"]),
        )
        for code, row in _table().items()
        if row["carbon_intensity"] > 0
    ]
    return tuple(sorted(found, key=lambda grid: grid.grams_per_kwh))


def _table() -> dict[str, dict]:
    file = carrier_file(
        "codecarbon",
        "data/private_infra/global_energy_mix.json",
        "8f1053800210aa07cc6019cc422b0d34f47dd092f6351dd873445c2b8199a107",
        distribution="codecarbon",
        extra="carbon",
    )
    return json.loads(file.read_text(encoding="utf-8"))


def national_grid(code: str) -> Grid:
    """The electricity of one country, by its three letters, such as ``"FRA"``.

    Raises:
        ValueError: a code that the table does not have.
    """
    for one in national_grids():
        if one.code == code:
            return one
    raise ValueError(
        f"code: got {code!r}, wanted one of {len(national_grids())} ISO codes of three letters, such as 'FRA'"
    )
