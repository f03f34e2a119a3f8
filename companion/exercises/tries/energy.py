"""The tries of the lesson on energy: from watts to grams, what a cache saves, the grid that two numbers imply."""

import torch
from torch import Generator

from companion.exercises.tries import Try


def grams(watts: float, seconds: float, pue: float, intensity: float) -> float:
    """Grams of carbon dioxide equivalents (eq-energy-chain); the intensity is in grams for a kilowatt-hour."""
    return watts * seconds / 3.6e6 * pue * intensity


def factor(n: int) -> float:
    """How many times more tokens are read in writing n tokens if the text so far is read again for each."""
    return sum(range(1, n + 1)) / n


def implied(tonnes: float, megawatt_hours: float) -> float:
    """The grid's grams for a kilowatt-hour that a published mass and a published energy imply."""
    return tonnes * 1e6 / (megawatt_hours * 1e3)


def _runs(g: Generator) -> list[tuple[float, float, float, float]]:
    a, b = torch.rand(2, 4, generator=g).tolist()
    return [(100 + 900 * x[0], 600 + 3600 * x[1], 1.1 + 0.5 * x[2], 30 + 600 * x[3]) for x in (a, b)]


def _lengths(g: Generator) -> list[tuple[int]]:
    return [(int(torch.randint(5, 60, (), generator=g)),), (100,)]


def _published(g: Generator) -> list[tuple[float, float]]:
    return [(20 + 500 * x[0], 300 + 900 * x[1]) for x in torch.rand(2, 2, generator=g).tolist()]


TRIES = (
    Try(
        "3.9-energy-1", "grams(watts, seconds, pue, intensity)", grams, _runs,
        {
            "joules are taken for kilowatt-hours": lambda w, s, p, i: w * s * p * i,
            "watt-hours are taken for kilowatt-hours": lambda w, s, p, i: 1000 * grams(w, s, p, i),
            "the building is forgotten": lambda w, s, p, i: grams(w, s, 1.0, i),
            "the building's overhead divides": lambda w, s, p, i: grams(w, s, 1 / p, i),
            "hours of a kilowatt, but seconds of a watt": lambda w, s, p, i: w / 1000 * s * p * i,
        },
    ),
    Try(
        "3.9-energy-2", "factor(n)", factor, _lengths,
        {
            "as if each text were as long as the last one": float,
            "the token that is being read is not counted": lambda n: (n - 1) / 2,
            "the number of readings, not how many times more": lambda n: n * (n + 1) / 2,
            "upside down": lambda n: 2 / (n + 1),
        },
    ),
    Try(
        "3.9-energy-3", "implied(tonnes, megawatt_hours)", implied, _published,
        {
            "kilograms, not grams": lambda t, e: t / e,
            "megawatt-hours are taken for kilowatt-hours": lambda t, e: 1e6 * t / e,
            "upside down": lambda t, e: e / t,
            "the building once more": lambda t, e: implied(t, e) / 1.1,
        },
    ),
)  # fmt: skip
