"""The figures of the lesson on scaling laws; each shows runs of a table.

Amounts of compute stand at the curves, in thousand millions of operations (G), so that no colour has to be looked up.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from companion.metrics.intervals import Interval
from companion.plotting import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY
from companion.scaling.laws.family import sizes_along
from companion.scaling.laws.fit import ScalingLaw
from companion.scaling.laws.isoflop import Valley
from companion.scaling.laws.runs import Run
from companion.scaling.published import MODELS

__all__ = [
    "by_size",
    "draw_bet",
    "draw_constant",
    "draw_families",
    "draw_floors",
    "draw_map",
    "draw_seeds",
    "draw_valleys",
]

NAMES = {
    "LSTM": "LSTM, 1997",
    "Transformer": "Transformer, 2017",
    "GPT-2": "GPT-2's block, 2019",
    "today": "today's block",
}
_LOOKS = {"LSTM": (GREEN, "s"), "Transformer": (PINK, "^"), "GPT-2": (ORANGE, "D"), "today": (BLUE, "o")}


def by_size(runs: Sequence[Run]) -> dict[int, float]:
    """The mean validation loss over the seeds for each N, the smallest N first."""
    sizes = sorted({run.parameters for run in runs})
    return {n: mean(run.valid for run in runs if run.parameters == n) for n in sizes}


def draw_valleys(near: Mapping[float, Sequence[Run]]) -> None:
    """Loss against parameters, a curve for each compute; where there are several seeds, their mean."""
    _, ax = plt.subplots(figsize=(5.6, 4.2))
    for compute, runs in near.items():
        loss = by_size(runs)
        ax.plot(loss.keys(), loss.values(), "o-", color=BLUE, ms=4)
        _label(ax, compute, *[*loss.items()][-1], BLUE)
    _finish(ax)


def draw_seeds(table: Sequence[Run], again: Sequence[Run]) -> None:
    """The runs of one compute in the table, each seed a dot, and the same runs made again."""
    _, ax = plt.subplots(figsize=(5.6, 3.2))
    ax.plot(
        [run.parameters for run in table], [run.valid for run in table], "o", color=SKY, ms=8, label="the table's seeds"
    )
    ax.plot([run.parameters for run in again], [run.valid for run in again], "x-", color=RED, label="trained just now")
    ax.legend()
    _finish(ax)


def draw_floors(
    near: Mapping[float, Sequence[Run]], floors: Mapping[float, Valley], spans: Mapping[float, Interval]
) -> None:
    """Runs of each compute with their parabola and a bar for the interval of N*."""
    _, ax = plt.subplots(figsize=(5.6, 4.4))
    for compute, runs in near.items():
        loss, floor, span = by_size(runs), floors[compute], spans[compute]
        ax.plot(loss.keys(), loss.values(), "o", color=BLUE, ms=4)
        _label(ax, compute, *[*loss.items()][-1], BLUE)
        sizes = torch.logspace(-0.5, 0.5, 60, dtype=torch.float64) * floor.parameters
        ax.plot(sizes, floor.at(sizes), color=BLUE, lw=1.2)
        ax.plot([span.low, span.high], [floor.loss] * 2, color=ORANGE, lw=6, alpha=0.7, solid_capstyle="butt")
    ax.plot([], [], color=ORANGE, lw=6, alpha=0.7, label="best size N*, 90 % interval")
    ax.legend()
    _finish(ax)


def draw_bet(
    near: Mapping[float, Sequence[Run]],
    far: Sequence[Run],
    law: ScalingLaw,
    laws: Sequence[ScalingLaw],
    vocab_size: int,
) -> None:
    """The law through the valleys that it was fitted to, and beyond them the prediction with its 90 % band and its runs."""
    _, ax = plt.subplots(figsize=(5.6, 4.8))
    for runs in [*near.values(), far]:
        compute, loss, color = runs[0].compute, by_size(runs), RED if runs is far else BLUE
        n, d = sizes_along(compute, vocab_size)
        shown = (n > min(loss) / 1.6) & (n < max(loss) * 1.6)
        ax.plot(n[shown], law.loss(n, d)[shown], color=color)
        ax.plot(loss.keys(), loss.values(), "*" if runs is far else "o", color=color, ms=14 if runs is far else 5,
                mec="white", zorder=3)  # fmt: skip
        _label(ax, compute, float(n[shown][-1]), float(law.loss(n, d)[shown][-1]), color)
    low, high = torch.stack([one.loss(n, d) for one in laws]).quantile(torch.tensor([0.05, 0.95]).double(), 0)
    ax.fill_between(n[shown], low[shown], high[shown], color=RED, alpha=0.2, lw=0)
    ax.plot([], [], "*", color=RED, ms=12, label="made afterwards")
    ax.legend()
    _finish(ax)


def draw_constant(values: Sequence[float], promised: Sequence[float], reached: float) -> None:
    """Histograms of the bootstrap's E and of what the same laws promise for one run, and a loss that a model has reached."""
    _, ax = plt.subplots(figsize=(5.6, 2.8))
    bins = torch.arange(min([*values, reached]) - 0.05, 2.0, 0.025).tolist()
    ax.hist(values, bins, color=ORANGE, alpha=0.85, label="E, the loss at infinity")
    ax.hist(promised, bins, color=RED, alpha=0.85, label="loss of the predicted run")
    ax.axvline(reached, color=BLACK, ls="--", label="reached by a larger model")
    ax.set(xlabel="nats a character", ylabel="bootstrap laws", ylim=(0, 1.6 * ax.get_ylim()[1]))  # room for the legend
    ax.legend(loc="upper left")
    plt.show()


def draw_families(won: Mapping[str, Sequence[Sequence[Run]]], counting: Sequence[float]) -> None:
    """Test loss against compute: each family's winners, mean and standard deviation of the seeds, and counting."""
    _, ax = plt.subplots(figsize=(5.6, 4.4))
    for family, winners in won.items():
        color, marker = _LOOKS[family]
        loss = [[run.test for run in runs] for runs in winners]
        ax.errorbar(
            [runs[0].compute for runs in winners], [mean(seeds) for seeds in loss], [stdev(seeds) for seeds in loss],
            color=color, marker=marker, capsize=3, label=NAMES[family],
        )  # fmt: skip
    computes = [runs[0].compute for runs in won["today"]]
    ax.plot(computes, counting, "x:", color=BLACK, label="counting, same characters")
    ax.set(xscale="log", xlabel="operations", ylabel="nats a character, test text")
    ax.set_xticks(computes, [f"{compute / 1e9:g} G" for compute in computes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(top=ax.get_ylim()[1] + 0.3)  # room for the legend
    ax.legend(ncols=2, fontsize=9, loc="upper right")
    plt.show()


def draw_map(points: Sequence[Run], far: Sequence[Run]) -> None:
    """Tokens against parameters: the runs among published models, with grey lines of equal 6 N D."""
    _, ax = plt.subplots(figsize=(5.6, 4.6))
    across = torch.tensor([1e2, 1e14])
    for power in range(9, 28, 3):
        ax.plot(across, 10.0**power / (6 * across), color="#d0d0d0", lw=0.8)
        ax.annotate(f"$10^{{{power}}}$", (1.3e2, 10.0**power / (6 * 1.3e2)), color="#888888", fontsize=9, clip_on=True)
    ax.plot(across, 20 * across, "--", color=ORANGE, label="20 tokens a parameter")
    ax.scatter(
        [run.parameters for run in points], [run.tokens for run in points], s=12, color=BLUE, label="the valleys"
    )
    ax.scatter(
        [r.parameters for r in far], [r.tokens for r in far], marker="*", s=70, color=RED, label="the predicted runs"
    )
    for one in MODELS:
        if one.parameters and one.tokens:
            left = one.name in ("DeepSeek-V3", "Chinchilla")
            ax.scatter(one.parameters, one.tokens, s=30, color=BLACK)
            place = (-7, 3) if left else (0, 14) if one.name.startswith("Llama") else (7, 3)
            ax.annotate(one.name, (one.parameters, one.tokens), xytext=place, fontsize=10,
                        textcoords="offset points", ha="right" if place[0] < 7 else "left")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlim=(1e2, 1e14), ylim=(1e4, 1e15))
    ax.set(xlabel="parameters used for a token, N", ylabel="tokens, D")
    ax.legend(loc="lower right", fontsize=9)
    plt.show()


def _label(ax: Axes, compute: float, n: float, loss: float, color: str) -> None:
    ax.annotate(
        f"{compute / 1e9:g} G",
        (n, loss),
        xytext=(5, 0),
        textcoords="offset points",
        color=color,
        va="center",
        fontsize=10,
    )


def _finish(ax: Axes) -> None:
    ax.set(xscale="log", xlabel="parameters N", ylabel="loss, nats a character")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.14)
    plt.show()
