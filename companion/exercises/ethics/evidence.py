"""The checks of exercises 3.9.1 to 3.9.3: evidence for a watermark, what an alarm is worth, and a detector's quality.

The moments of the count come from `torch.distributions`, the alarms from a table filled with whole pictures, and the area from
scores whose order is known beforehand.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.distributions import Binomial

from companion.exercises.answers import Answer
from companion.exercises.checking import Exercise, Property, compare_numbers


def _lists(vocabulary: int, g: Generator) -> Tensor:
    return torch.rand(vocabulary, vocabulary, generator=g) < 0.4


def _z(green: int, trials: int, ratio: float) -> float:
    law = Binomial(trials, torch.tensor(ratio, dtype=torch.float64))
    return float((green - law.mean) / law.stddev)


Text = tuple[list[int], Tensor, float]


def _mistakes(ids: list[int], green: Tensor, ratio: float) -> tuple[float, dict[str, float]]:
    """The right score of a text, and what typical mistakes make of it."""
    pairs = list(zip(ids, ids[1:], strict=False))
    once = set(pairs)
    hits, all_hits = (sum(bool(green[a, b]) for a, b in some) for some in (once, pairs))
    backwards = sum(bool(green[b, a]) for a, b in once)
    law = Binomial(len(once), torch.tensor(ratio, dtype=torch.float64))
    wrong = {
        "divided by the variance, not by its root": float((hits - law.mean) / law.variance),
        "green before its successor, not after its predecessor": _z(backwards, len(once), ratio),
        "the first token counted as a trial": _z(hits, len(once) + 1, ratio),
        "the share of green pairs, not its distance from chance": hits / len(once),
    }
    if len(once) < len(pairs):
        wrong["a pair that repeats is counted each time"] = _z(all_hits, len(pairs), ratio)
    return _z(hits, len(once), ratio), wrong


def _score(answer: Answer, draw: Callable[[], Text]) -> str:
    while True:  # until chance lets no mistake give the right number
        ids, green, ratio = draw()
        wanted, wrong = _mistakes(ids, green, ratio)
        if all(abs(value - wanted) > 0.01 for value in wrong.values()):
            return compare_numbers(answer.number(ids, green, ratio), wanted, wrong)


def _plain(answer: Answer, g: Generator) -> str:
    n = 25 + int(torch.randint(20, (), generator=g))
    return _score(answer, lambda: (torch.randperm(60, generator=g)[:n].tolist(), _lists(60, g), 0.4))


def _repeated(answer: Answer, g: Generator) -> str:
    def draw() -> Text:
        some = torch.randperm(20, generator=g)[:5].tolist()
        return some * 6 + torch.randperm(20, generator=g).tolist() + some, _lists(20, g), 0.4

    return _score(answer, draw)


def _rare(answer: Answer, g: Generator) -> str:
    def draw() -> Text:
        ratio = 0.1 + 0.05 * float(torch.rand((), generator=g))
        return torch.randperm(40, generator=g).tolist(), torch.rand(40, 40, generator=g) < 0.6, ratio

    return _score(answer, draw)


def _shares(g: Generator) -> tuple[int, int, int]:
    """Fakes, caught ones and accused real ones among a million pictures, as whole numbers."""
    fakes = int(torch.randint(1_000, 60_000, (), generator=g))
    caught = int(fakes * (0.6 + 0.39 * float(torch.rand((), generator=g))))
    accused = int((1_000_000 - fakes) * (0.005 + 0.05 * float(torch.rand((), generator=g))))
    return fakes, caught, accused


def _table(answer: Answer, g: Generator, which: int) -> str:
    said = ""
    for _ in range(3):
        fakes, caught, accused = _shares(g)
        real = 1_000_000 - fakes
        got = answer.numbers(fakes / 1e6, caught / fakes, accused / real, count=2)
        wanted = (caught + accused, caught / (caught + accused))
        mistakes = (
            {
                "the right alarms alone": caught,
                "shares added without weighing them": 1e6 * (caught / fakes + accused / real),
                "the false alarms alone": accused,
            },
            {
                "the share of fakes that are caught": caught / fakes,
                "the share of alarms that are wrong": accused / (caught + accused),
                "fakes taken to be as common as real pictures": (caught / fakes) / (caught / fakes + accused / real),
                "the share of real pictures that are left alone": 1 - accused / real,
            },
        )
        said = compare_numbers(got[which], wanted[which], mistakes[which])
    return said


def _alarms(answer: Answer, g: Generator) -> str:
    return _table(answer, g, 0)


def _right(answer: Answer, g: Generator) -> str:
    return _table(answer, g, 1)


def _duel(answer: Answer, fakes: Tensor, reals: Tensor, wins: int, ties: int) -> str:
    pairs = fakes.numel() * reals.numel()
    mistakes = {
        "the share of pairs that the real picture wins": (pairs - wins - 0.5 * ties) / pairs,
        "every rank one too small": (wins + 0.5 * ties - len(fakes)) / pairs,
    }
    if ties:
        mistakes["a tie counts for nothing"] = wins / pairs
        mistakes["a tie counts as won"] = (wins + ties) / pairs
    return compare_numbers(answer.number(fakes, reals), (wins + 0.5 * ties) / pairs, mistakes)


def _split(values: Tensor, n: int, g: Generator) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(values), generator=g)
    return values[order[:n]], values[order[n:]]


def _count(fakes: Tensor, reals: Tensor) -> tuple[int, int]:
    pairs = [(float(f), float(r)) for f in fakes for r in reals]
    return sum(f > r for f, r in pairs), sum(f == r for f, r in pairs)


def _untied(answer: Answer, g: Generator) -> str:
    said = ""
    for _ in range(3):
        n = 5 + int(torch.randint(8, (), generator=g))
        fakes, reals = _split(torch.randperm(40, generator=g)[:24].float() / 7, n, g)
        said = _duel(answer, fakes, reals, *_count(fakes, reals))
    return said


def _tied(answer: Answer, g: Generator) -> str:
    fakes, reals = _split(torch.randint(4, (21,), generator=g).float(), 8, g)
    return _duel(answer, fakes, reals, *_count(fakes, reals))


def _ends(answer: Answer, g: Generator) -> str:
    high, low = 3 + torch.rand(7, generator=g), torch.rand(4, generator=g)
    _duel(answer, high, low, 28, 0)
    _duel(answer, low, high, 0, 0)
    return "1 if every fake scores higher, 0 if every real picture does"


EXERCISES = (
    Exercise(
        "3.9.1",
        "evidence(ids, green, ratio)",
        (
            Property("a text without repetition", 8, _plain),
            Property("pairs that repeat", 8, _repeated),
            Property("another share of green tokens", 4, _rare),
        ),
    ),
    Exercise(
        "3.9.2",
        "alarms(fakes, caught, accused)",
        (Property("how many alarms", 7, _alarms), Property("the share that is right", 8, _right)),
    ),
    Exercise(
        "3.9.3",
        "area(fakes, reals)",
        (
            Property("scores that all differ", 9, _untied),
            Property("scores that tie", 7, _tied),
            Property("perfect and perfectly wrong", 4, _ends),
        ),
    ),
)
