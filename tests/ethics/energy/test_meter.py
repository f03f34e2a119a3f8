"""Energy: the algebra of units, the counters, parity with codecarbon."""

import time
from pathlib import Path

import pytest
import torch

from companion.data.energy_mix import national_grid
from companion.ethics.energy.meter import Counter, Energy, Meter, counters
from companion.metrics.flops import count_flops
from companion.scaling.flops import six_nd
from companion.text.llama import Llama, LlamaConfig


def test_units() -> None:
    """A kettle of 2,000 W for three minutes is a tenth of a kilowatt-hour; at 380 g that is 38 g."""
    kettle = Energy.from_power(2000, 180)
    assert kettle.joules == 360_000
    assert kettle.kwh == pytest.approx(0.1)
    assert kettle.grams(380) == pytest.approx(38)
    assert Energy.from_kwh(kettle.kwh).joules == pytest.approx(kettle.joules)
    assert kettle.per_operation(3.6e14) == pytest.approx(1e-9)


def test_parity_with_codecarbons_units_and_grid() -> None:
    pytest.importorskip("codecarbon")
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy as Theirs
    from codecarbon.core.units import Power, Time
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    theirs = Theirs.from_power_and_time(power=Power.from_watts(85), time=Time.from_seconds(777))
    mine = Energy.from_power(85, 777)
    assert mine.kwh == pytest.approx(theirs.kWh, rel=1e-9)
    place = GeoMetadata(country_iso_code="DEU", country_name="Germany", region=None)
    kilograms = Emissions(DataSource()).get_private_infra_emissions(theirs, place)
    assert mine.grams(national_grid("DEU").grams_per_kwh) == pytest.approx(1000 * kilograms, rel=1e-6)


def test_six_nd_against_the_counted_operations() -> None:
    """6 N D leaves out attention, and counts the table of tokens, which is only read: 2.7 % low for this model."""
    config = LlamaConfig(vocab_size=64, context=16, width=96, layers=3, heads=4, kv_heads=2, hidden=256)
    model = Llama(config)
    ids = torch.randint(64, (2, 16), generator=torch.Generator().manual_seed(0))
    counted = count_flops(lambda: model(ids).sum().backward())
    rule = six_nd(sum(p.numel() for p in model.parameters()), ids.numel())
    assert 0.96 < rule / counted < 0.99


def counter_files(folder: Path, name: str, value: int, top: int = 1_000_000) -> Path:
    zone = folder / name
    zone.mkdir()
    (zone / "energy_uj").write_text(f"{value}\n")
    (zone / "max_energy_range_uj").write_text(f"{top}\n")
    return zone


def test_counters_take_packages_and_not_their_parts(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        counter_files(tmp_path, name, 5)
    assert [counter.file.parent.name for counter in counters(tmp_path)] == ["intel-rapl:0", "intel-rapl:1"]
    assert counters(tmp_path / "none") == []


@pytest.mark.parametrize("error", [PermissionError("not for you"), ValueError("not a number")])
def test_a_counter_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error) -> None:
    """Since 2020 the kernel lets root alone read them."""
    read = Counter.read
    for name in ("intel-rapl:0", "intel-rapl:1"):
        counter_files(tmp_path, name, 5)

    def refused(self) -> int:
        if self.file.parent.name.endswith("1"):
            raise error
        return read(self)

    monkeypatch.setattr(Counter, "read", refused)
    assert [counter.file.parent.name for counter in counters(tmp_path)] == ["intel-rapl:0"]


def test_each_joule_is_counted_once(tmp_path: Path) -> None:
    """9 J of a machine, of which a package took 3: 9, not 12. Its memory's are not in the package's."""

    def spend(folder: Path, spent: dict[str, tuple[str, int]]) -> float:
        zones = {name: counter_files(folder, name, 1_000, top=10**9) for name in spent}
        for name, (kind, _) in spent.items():
            (zones[name] / "name").write_text(f"{kind}\n")
        with Meter(watts=10, folder=folder) as meter:
            for name, (_, joules) in spent.items():
                (zones[name] / "energy_uj").write_text(str(1_000 + joules * 10**6))
        return meter.energy.joules

    package = {"intel-rapl:0": ("package-0", 3), "intel-rapl:0:0": ("core", 2), "intel-rapl:0:1": ("uncore", 1)}
    server = package | {"intel-rapl:0:2": ("dram", 1), "intel-rapl:1": ("package-1", 4), "intel-rapl:1:0": ("dram", 2)}
    for number, (machine, joules) in enumerate([(package, 3), (server, 10)]):
        for whole in ({}, {"intel-rapl:2": ("psys", 9)}):
            folder = tmp_path / f"{number}{bool(whole)}"
            folder.mkdir()
            assert spend(folder, machine | whole) == pytest.approx(9 if whole else joules)


def test_a_counter_of_the_whole_that_never_moved_is_not_believed(tmp_path: Path) -> None:
    for name, kind, value in (("intel-rapl:0", "package-0", 5), ("intel-rapl:1", "psys", 0)):
        (counter_files(tmp_path, name, value) / "name").write_text(kind)
    assert [counter.file.parent.name for counter in counters(tmp_path)] == ["intel-rapl:0"]


def test_a_counter_that_starts_again() -> None:
    counter = Counter(Path("unused"), top=999_999)
    assert counter.spent(100_000, 400_000) == pytest.approx(0.3)
    assert counter.spent(900_000, 200_000) == pytest.approx(0.3)


def test_meter_reads_the_counter_where_there_is_one(tmp_path: Path) -> None:
    zone = counter_files(tmp_path, "intel-rapl:0", 100_000)
    with Meter(watts=10, folder=tmp_path) as meter:
        (zone / "energy_uj").write_text("600000")
    assert meter.source == "counter"
    assert meter.energy.joules == pytest.approx(0.5)


def test_meter_multiplies_processor_time_and_not_waiting(tmp_path: Path) -> None:
    with Meter(watts=20, folder=tmp_path) as waiting:
        time.sleep(0.2)
    with Meter(watts=20, folder=tmp_path) as working:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
    assert waiting.source == "rated power"
    assert waiting.wall_seconds >= 0.2
    assert waiting.energy.joules < 0.25 * working.energy.joules
    assert working.energy.joules == pytest.approx(20 * working.seconds)


def test_clear_errors() -> None:
    with pytest.raises(ValueError, match="joules"):
        Energy(-1)
    with pytest.raises(ValueError, match="operations"):
        Energy(1).per_operation(0)
    with pytest.raises(ValueError, match="watts"):
        Meter(watts=0)
