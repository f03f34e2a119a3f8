"""The runs from which the lesson reads its law: six amounts of compute, six sizes each, and a bet on a seventh amount.

The family is that of `companion.scaling.laws.family`, with its rule for the learning rate. For each compute of `VALLEYS` the
sizes reach from too small to too large. Then the best size for `FAR`, a compute that no run had, is foretold in two ways, by
the floors of the valleys and by the law; the bet is written into the table, and only then the models are trained with that
compute: both best sizes, and about half and twice of the first.

Source: Hoffmann et al., 2022, arXiv:2203.15556, approaches 2 (valleys) and 3 (the law).
"""

from collections.abc import Mapping, Sequence

from companion.scaling.flops import decoder_flops
from companion.scaling.laws.family import (
    FINAL,
    build_member,
    count_parameters,
    family_config,
    learning_rate,
    tokens_for,
)
from companion.scaling.laws.fit import ScalingLaw, fit_law
from companion.scaling.laws.isoflop import Valley, extrapolate, fit_valley
from companion.scaling.laws.runs import Run
from companion.scaling.laws.texts import Texts, train_and_measure
from companion.training.runs import RunTable
from companion.validate import Count, Positive, checked

__all__ = [
    "FAR",
    "VALLEYS",
    "far_widths",
    "fit_runs",
    "floors_of",
    "promised",
    "rule_rate",
    "train_member",
    "train_valleys",
]

# compute: (widths, how many seeds); the cheap runs are the noisy ones and get more
VALLEYS: dict[float, tuple[tuple[int, ...], int]] = {
    2e9: ((4, 6, 8, 12, 16, 24), 3),
    6.3e9: ((6, 8, 12, 16, 24, 32), 2),
    2e10: ((8, 12, 16, 24, 32, 48), 2),
    6.3e10: ((12, 16, 24, 32, 48, 64), 1),
    2e11: ((16, 24, 32, 48, 64, 96), 1),
    6.3e11: ((32, 48, 64, 96, 128), 1),
}
FAR = 2e12
CANDIDATES = (4, 6, 8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256)


@checked
def train_member(
    width: int, compute: Positive, texts: Texts, *, seed: int, slower: Positive = 1.0, final: float = FINAL
) -> Run:
    """Train the family's member of a width on what a compute allows, at the rate of the rule or ``slower`` times less."""
    config = family_config(width, len(texts.alphabet))
    model, cost = build_member(width, config.vocab_size, seed), decoder_flops(config)
    rate = rule_rate(width, compute, config.vocab_size) / slower
    return train_and_measure(model, cost, texts, "today", compute, width, rate, seed, final=final)


def rule_rate(width: int, compute: float, vocab_size: int) -> float:
    """The learning rate of the rule (eq-laws-lr) for the tokens that a compute allows."""
    return round(learning_rate(width, tokens_for(compute, family_config(width, vocab_size))), 8)


def fit_runs(runs: Sequence[Run], *, starts: int = 8) -> ScalingLaw:
    """The law of runs, by their validation losses."""
    columns = ([getattr(run, name) for run in runs] for name in ("parameters", "tokens", "valid"))
    return fit_law(*columns, starts=starts).law


def floors_of(runs: Sequence[Run]) -> dict[float, Valley]:
    """The valley's floor at each compute."""
    rows = {
        compute: [run for run in runs if run.compute == compute] for compute in sorted({run.compute for run in runs})
    }
    return {c: fit_valley([run.parameters for run in row], [run.valid for run in row]) for c, row in rows.items()}


@checked
def promised(law: ScalingLaw, width: int, compute: Positive, vocab_size: Count) -> float:
    """What a law says of the family's member of a width, with the tokens that it can really read."""
    config = family_config(width, vocab_size)
    return float(law.loss(count_parameters(config), tokens_for(compute, config)))


@checked
def far_widths(runs: Sequence[Run], law: ScalingLaw, compute: Positive, vocab_size: Count) -> dict[str, int]:
    """Which widths to try at a compute that no run had: the best of two methods, and half and twice of the first.

    ``"floors"`` follows the floors of the runs' valleys along their power to the compute; ``"law"`` is the best of the law
    (of all runs, from `fit_runs`). ``"half"`` and ``"twice"`` have about half and twice the parameters of ``"floors"``.
    All from `CANDIDATES`; two of them may be the same.
    """
    size = {width: count_parameters(family_config(width, vocab_size)) for width in CANDIDATES}

    def nearest(parameters: float) -> int:
        return min(size, key=lambda w: max(size[w] / parameters, parameters / size[w]))

    floors = floors_of(runs)
    best = extrapolate(list(floors), [floor.parameters for floor in floors.values()], compute)
    return {
        "half": nearest(best / 2),
        "floors": nearest(best),
        "twice": nearest(best * 2),
        "law": min(CANDIDATES, key=lambda w: promised(law, w, compute, vocab_size)),
    }


@checked
def train_valleys(
    table: RunTable[Run],
    texts: Texts,
    *,
    valleys: Mapping[float, tuple[tuple[int, ...], int]] = VALLEYS,
    far: float = FAR,
) -> None:
    """Fill a table with the runs that it lacks, the cheapest first, then bet and make the runs of the bet."""
    vocab_size = len(texts.alphabet)

    def run(width: int, compute: float, seed: int) -> Run:
        found = table.find(("today", compute, width, rule_rate(width, compute, vocab_size), seed))
        return found or table.add(train_member(width, compute, texts, seed=seed))

    points = [
        run(width, compute, seed)
        for compute, (widths, seeds) in valleys.items()
        for seed in range(seeds)
        for width in widths
    ]
    law = fit_runs(points)
    chosen = far_widths(points, law, far, vocab_size)
    for why, width in chosen.items():
        loss = promised(law, width, far, vocab_size)
        table.note(
            f"the bet at {far:g}, {why}: width {width}, {loss:.4f} nats by the law of the {len(points)} runs above"
        )
    for width in sorted(set(chosen.values())):
        run(width, far, 0)
