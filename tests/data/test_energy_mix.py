"""The table of grids: what is in it, against codecarbon's own reading of it."""

import pytest

from companion.data.energy_mix import national_grid, national_grids, national_mixes


def test_the_table_has_nearly_all_countries_sorted() -> None:
    values = [one.grams_per_kwh for one in national_grids()]
    assert len(values) == 212
    assert values == sorted(values)
    assert 0 < values[0] < 30
    assert values[-1] > 1000
    assert len({one.code for one in national_grids()}) == 212


def test_a_zero_that_means_missing_is_left_out() -> None:
    """The carrier has 0 g for the Central African Republic: no grid emits nothing over its plants' lives."""
    assert all(one.country != "Central African Republic" for one in national_grids())


def test_shares_are_shares_and_clean_grids_have_little_fossil() -> None:
    assert all(0 <= one.low_carbon <= 1.001 for one in national_grids())
    assert national_grid("FRA").low_carbon > 0.85
    assert national_grid("FRA").grams_per_kwh < national_grid("DEU").grams_per_kwh < national_grid("POL").grams_per_kwh


def test_unknown_code() -> None:
    with pytest.raises(ValueError, match="FR"):
        national_grid("FR")


@pytest.mark.parametrize("code", ["FRA", "DEU", "IND", "NZL"])
def test_parity_with_codecarbon(code: str) -> None:
    """One kilowatt-hour emits what the package's own offline code says."""
    pytest.importorskip("codecarbon")
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    place = GeoMetadata(country_iso_code=code, country_name=national_grid(code).country, region=None)
    kilograms = Emissions(DataSource()).get_private_infra_emissions(Energy.from_energy(kWh=1.0), place)
    assert national_grid(code).grams_per_kwh == pytest.approx(1000 * kilograms, rel=1e-6)


def test_mixes_are_shares_of_the_total_the_largest_first() -> None:
    mixes = {mix.code: mix for mix in national_mixes()}
    assert len(mixes) == len(national_mixes()) > 190
    assert dict(mixes["FRA"].shares)["nuclear"] > 60 and mixes["FRA"].shares[0][0] == "nuclear"
    assert mixes["NOR"].twh == pytest.approx(153.59) and mixes["NOR"].shares[0] == ("hydro", 89)
    for mix in mixes.values():
        shares = [share for _, share in mix.shares]
        assert shares == sorted(shares, reverse=True) and min(shares) >= 1 and sum(shares) <= 105
        assert mix.twh >= 0.1 and 2009 <= mix.year <= 2023
    assert sum(sum(share for _, share in mix.shares) >= 95 for mix in mixes.values()) > 0.9 * len(mixes)
