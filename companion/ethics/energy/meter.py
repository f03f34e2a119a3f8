r"""Energy and carbon accounting: from operations to joules to grams of carbon dioxide, each step with its unit.

- energy (eq-energy-chain): :math:`E = P\, t`; a kilowatt-hour is 3.6 million joules
- carbon (eq-energy-chain): :math:`m = E \cdot \mathrm{PUE} \cdot I`, with the grid's intensity I in grams for a
  kilowatt-hour. PUE is what a data centre uses for each unit that reaches its computers, at least 1. It is applied *once*: a
  published energy may hold it already
- energy of an operation (eq-energy-chain): :math:`\varepsilon = E / C`, joules for one floating-point operation

`Meter` measures a block of code. Where the machine has counters of energy (Intel's RAPL, under ``/sys/class/powercap``, often
readable by the administrator only, and absent in virtual machines) it reads them; they count the whole processor, or the whole
machine, other programs included. Elsewhere it multiplies the processor time of this process by a power for one busy core,
which the caller states: a rating, not a measurement, and good to a factor of two or so.

Sources: Strubell, Ganesh & McCallum, arXiv:1906.02243; Patterson et al., arXiv:2104.10350; Lannelongue, Grealey & Inouye,
"Green Algorithms", Advanced Science, 2021 (a model of this kind, with a term for memory, which is left out here).
"""

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated

from companion.validate import NonNegative, Positive, Range, checked

JOULES_PER_KWH = 3.6e6
POWERCAP = Path("/sys/class/powercap")


@checked
@dataclass(frozen=True)
class Energy:
    """An amount of energy.

    Attributes:
        joules: watts times seconds.
    """

    joules: NonNegative

    @classmethod
    def from_kwh(cls, kwh: float) -> "Energy":
        return cls(kwh * JOULES_PER_KWH)

    @classmethod
    @checked
    def from_power(cls, watts: NonNegative, seconds: NonNegative) -> "Energy":
        """eq-energy-chain."""
        return cls(watts * seconds)

    @property
    def kwh(self) -> float:
        return self.joules / JOULES_PER_KWH

    @checked
    def grams(self, grams_per_kwh: NonNegative, *, pue: Annotated[float, Range(1)] = 1.0) -> float:
        """Carbon dioxide equivalents (eq-energy-chain).

        Args:
            grams_per_kwh: the grid's intensity.
            pue: the building's overhead; 1 if it is in the energy already, or if there is no building.
        """
        return self.kwh * pue * grams_per_kwh

    @checked
    def per_operation(self, operations: Positive) -> float:
        """Joules for one operation (eq-energy-chain)."""
        return self.joules / operations


@dataclass(frozen=True)
class Counter:
    """One processor's counter of energy: microjoules, which start again at 0 after ``top``."""

    file: Path
    top: int

    def read(self) -> int:
        return int(self.file.read_text())

    def spent(self, before: int, after: int) -> float:
        """Joules between two readings, at most one turn of the counter apart."""
        turn = self.top + 1 if after < before else 0
        return (after - before + turn) / 1e6


def counters(folder: Path = POWERCAP) -> list[Counter]:
    """The counters that can be read, each joule in one of them; none on most virtual machines.

    There is one for each processor package, which holds what its parts (cores, graphics) count, but not its memory's, which
    the kernel lists below it. Some machines have one named ``psys`` for all of it, packages and memory included: it alone is
    taken then, unless it has never moved, as where the maker left it unconnected.
    """
    named = [(_name(zone), counter) for zone in sorted(folder.glob("intel-rapl:*")) if (counter := _counter(zone))]
    whole = [counter for name, counter in named if name == "psys" and counter.read() > 0]
    return whole or [counter for name, counter in named if name.startswith(("package", "dram"))]


def _name(zone: Path) -> str:
    """What the kernel says a zone counts; a zone at the top that does not say it is a package."""
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return "package" if zone.name.count(":") == 1 else ""


def _counter(zone: Path) -> Counter | None:
    """A zone's counter, or None if it is not for everybody to read."""
    try:
        counter = Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
        counter.read()
    except (OSError, ValueError):
        return None
    return counter


class Meter:
    """Measures a block: ``with Meter(watts=10) as meter: …``, then ``meter.energy``, ``meter.seconds``, ``meter.source``.

    Args:
        watts: the power of one busy core, used where the machine has no counter.
        folder: where to look for counters.
    """

    @checked
    def __init__(self, watts: Positive, folder: Path = POWERCAP) -> None:
        self.watts, self.counters = watts, counters(folder)
        self.source = "counter" if self.counters else "rated power"

    def __enter__(self) -> "Meter":
        self._readings, self._cpu, self._wall = (
            [counter.read() for counter in self.counters],
            time.process_time(),
            time.perf_counter(),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.process_time() - self._cpu
        self.wall_seconds = time.perf_counter() - self._wall
        if self.counters:
            pairs = zip(self.counters, self._readings, strict=True)
            self.energy = Energy(sum(counter.spent(before, counter.read()) for counter, before in pairs))
        else:
            self.energy = Energy.from_power(self.watts, self.seconds)
