"""Published energy of trainings and of single answers, by their makers and by others, in one unit each.

Two mistakes are built out. A number for a thousand answers is stored as what it is and read for one item by a property; and
each training says what its energy counts, so that nobody multiplies by a building's overhead twice.

Sources: Patterson et al., arXiv:2104.10350 (GPT-3: estimated from the number of operations, the chips' measured speed and
power, and the building); Luccioni, Viguier & Ligozat, arXiv:2211.02001 (BLOOM: hours of its chips times their rated power,
without idle machines and building); Luccioni, Jernite & Strubell, arXiv:2311.16863 (means over models, measured with
codecarbon); Elsworth et al., arXiv:2508.15734 (Google's own account of its median text prompt in May 2025: chips, hosts, idle
machines, building).
"""

from dataclasses import dataclass

from companion.ethics.energy.meter import Energy


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        name: the model.
        energy: as published.
        tonnes: of CO2 equivalents, as published for this energy.
        counts: what the energy includes.
        operations: floating-point operations, where known.
        source: a key of the bibliography.
    """

    name: str
    energy: Energy
    tonnes: float
    counts: str
    operations: float | None
    source: str

    @property
    def grams_per_kwh(self) -> float:
        """The grid's intensity that the two published numbers imply."""
        return self.tonnes * 1e6 / self.energy.kwh


@dataclass(frozen=True)
class InferenceTask:
    """Answers of one kind.

    Attributes:
        name: what was asked for.
        energy: of ``items`` answers together.
        items: how many answers.
        source: a key of the bibliography.
    """

    name: str
    energy: Energy
    items: int
    source: str

    @property
    def watt_hours_per_item(self) -> float:
        return self.energy.kwh * 1000 / self.items


TRAININGS = (
    Training("GPT-3", Energy.from_kwh(1_287_000), 552.0, "chips, hosts and building", 3.14e23, "patterson2021carbon"),
    Training(
        "BLOOM", Energy.from_kwh(433_196), 24.7, "chips at their rated power", 6 * 176e9 * 366e9, "luccioni2022bloom"
    ),
)

TASKS = (
    InferenceTask("classify a text", Energy.from_kwh(0.002), 1000, "luccioni2024power"),
    InferenceTask("write a text", Energy.from_kwh(0.047), 1000, "luccioni2024power"),
    InferenceTask("draw an image", Energy.from_kwh(2.907), 1000, "luccioni2024power"),
    InferenceTask("answer a prompt (Gemini)", Energy.from_kwh(0.00024), 1, "elsworth2025measuring"),
)
