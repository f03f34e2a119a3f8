r"""Five ways to model a text, each tuned alike, so that their losses can be compared at equal compute.

An LSTM (1997), the Transformer of 2017, GPT-2's block (2019) and today's block, each of two layers (the LSTM of one), each as
wide as is best for it. At every compute of `COMPUTES` each family gets the same search on the same lattice of `WIDTHS` and
`RATES`, by the loss on validation text:

    from the point that was best at the compute before (at first from `START`) look at the next wider and narrower
    model and at half and double the learning rate; go to the best; stop where no neighbour is better  (eq-families-climb)

So each family's result has beaten the same four neighbours. The winner is trained again with `SEEDS` more seeds, which alone
are reported: the run that was chosen as the best was lucky too (`winners`). Everything else is the same for all: batches,
schedule, optimiser, the start of the weights (`companion.scaling.laws.family`), passages.

Counting (1948) does no arithmetic with matrices, so its compute is none: it is compared at equal *data* (`best_counting`).

Source: Gundlach et al., "On the Origin of Algorithmic Progress in AI", 2025, arXiv:2511.21622 (its question: how a gain of
algorithms depends on the compute).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated

import torch
from jaxtyping import Int
from torch import Tensor, nn

from companion.language.ngrams import NGram, NGramConfig
from companion.language.scoring import passages
from companion.metrics.flops import count_flops
from companion.scaling.laws.family import CONTEXT, HEAD_WIDTH, LAYERS, build_member, start_evenly
from companion.scaling.laws.lstm import LSTM, LSTMConfig, lstm_flops
from companion.scaling.laws.postnorm import PostNormConfig, PostNormTransformer
from companion.scaling.laws.runs import Run
from companion.scaling.laws.texts import Texts, train_and_measure
from companion.text.gpt import GPT, GPTConfig
from companion.training.runs import RunTable
from companion.validate import Count, Positive, Range, check_choice, checked

__all__ = [
    "FAMILIES",
    "best_counting",
    "build",
    "climb",
    "compute_for_loss",
    "forward_flops",
    "search_families",
    "winners",
]

FAMILIES = ("LSTM", "Transformer", "GPT-2", "today")
WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
RATES = (0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
START = (16, 0.02)
COMPUTES = (6.3e9, 2e10, 6.3e10)
SEEDS = 2

Point = tuple[int, int]


@checked
def build(family: str, width: Annotated[int, Range(4)], vocab_size: Count, seed: Annotated[int, Range(0)]) -> nn.Module:
    """The untrained model of a family.

    Raises:
        ValueError: a family that is none of `FAMILIES`.
    """
    check_choice("family", family, FAMILIES)
    if family == "today":
        return build_member(width, vocab_size, seed)
    torch.manual_seed(1_000_003 * seed + width)
    heads = max(1, width // HEAD_WIDTH)
    model: nn.Module
    if family == "LSTM":
        model = LSTM(LSTMConfig(vocab_size, CONTEXT, width))
    elif family == "Transformer":
        model = PostNormTransformer(PostNormConfig(vocab_size, CONTEXT, width, LAYERS, heads))
    else:
        model = GPT(GPTConfig(vocab_size, CONTEXT, width, LAYERS, heads))
    start_evenly(model)
    return model


def forward_flops(model: nn.Module) -> int:
    """Operations of one forward pass for one token; torch's counter does not see into its LSTM, whose formula is tested."""
    if isinstance(model, LSTM):
        return lstm_flops(model.config)
    ids = torch.zeros(1, CONTEXT, dtype=torch.int64)
    return count_flops(lambda: model(ids)) // CONTEXT


def climb(score: Callable[[Point], float], start: Point, shape: tuple[int, int]) -> Point:
    """The point of a lattice from which no step up, down, left or right lowers the score (eq-families-climb).

    Args:
        score: of a point (i, j); called more than once for a point.
        start: where to begin.
        shape: i < shape[0], j < shape[1].
    """
    here = start
    while True:
        i, j = here
        beside = [(i, j), (i, j + 1), (i, j - 1), (i + 1, j), (i - 1, j)]
        best = min((p for p in beside if 0 <= p[0] < shape[0] and 0 <= p[1] < shape[1]), key=score)
        if best == here:
            return here
        here = best


@checked
def search_families(
    table: RunTable[Run],
    texts: Texts,
    *,
    families: Sequence[str] = FAMILIES,
    computes: Sequence[float] = COMPUTES,
    seeds: Annotated[int, Range(0)] = SEEDS,
) -> None:
    """Fill a table with all runs of the search that it lacks, a family after the other, its cheapest compute first."""

    def run(family: str, compute: float, width: int, rate: float, seed: int) -> Run:
        found = table.find((family, compute, width, rate, seed))
        if found is None:
            model = build(family, width, len(texts.alphabet), seed)
            cost = forward_flops(model)
            found = table.add(train_and_measure(model, cost, texts, family, compute, width, rate, seed))
        return found

    for family in families:
        here = WIDTHS.index(START[0]), RATES.index(START[1])
        for compute in computes:

            def score(point: Point, family: str = family, compute: float = compute) -> float:
                return run(family, compute, WIDTHS[point[0]], RATES[point[1]], 0).valid

            here = climb(score, here, (len(WIDTHS), len(RATES)))
            for seed in range(1, seeds + 1):
                run(family, compute, WIDTHS[here[0]], RATES[here[1]], seed)


def winners(runs: Sequence[Run], family: str, compute: float) -> list[Run]:
    """The run of the lowest validation loss of a family at a compute, made again with the seeds that the search never saw.

    The run that won is not among them: it won by luck too, and its loss would flatter.

    Raises:
        ValueError: no such run.
    """
    here = [run for run in runs if (run.family, run.compute) == (family, compute)]
    if not here:
        raise ValueError(f"runs: got none of {family} at {compute:g}, wanted at least one")
    best = min((run for run in here if run.seed == 0), key=lambda run: run.valid)
    return [run for run in here if run.seed > 0 and (run.width, run.rate) == (best.width, best.rate)]


@checked
def compute_for_loss(computes: Sequence[Positive], losses: Sequence[Positive], loss: Positive) -> float | None:
    """The compute at which a family's curve reaches a loss: ln C, interpolated between two neighbouring points of the curve.

    Its ratio to another family's compute at that loss is the factor of progress between the two. None where the curve does
    not reach so far: nothing is extrapolated.

    Raises:
        ValueError: not one loss for each compute, or a loss that does not fall.
    """
    if len(losses) != len(computes) or any(a <= b for a, b in pairwise(losses)):
        raise ValueError(
            f"losses: got {list(losses)}, wanted one for each of {len(computes)} computes, each below the last"
        )
    curve = list(zip(computes, losses, strict=True))
    for (c, above), (d, below) in pairwise(curve):
        if below <= loss <= above:
            return float(c * (d / c) ** ((above - loss) / (above - below)))
    return None


@checked
def best_counting(
    texts: Texts, tokens: Count, *, seed: int = 0, orders: Sequence[int] = range(1, 8)
) -> tuple[int, float]:
    """The order of the n-gram that is best on validation text after so many characters, and its nats on the test text.

    It reads them as passages of at most a thousand, drawn from anywhere in the training text as the networks' are; if there
    are fewer than ``tokens``, the whole text.
    """
    texts = texts.to("cpu")  # counts are divided in double precision, which not every device has
    ids = texts.train
    if tokens < len(ids):
        length = min(tokens, 1000)
        draw = passages(ids, length)
        (rows,) = draw(-(-tokens // length), torch.Generator().manual_seed(seed))
        ids = rows.flatten()[:tokens]
    model = NGram(ids, NGramConfig(len(texts.alphabet), max(orders)))
    levels, nats = model.levels, {}
    for order in orders:  # the counts of a shorter order are the first levels of the longest
        model.levels = levels[: order + 1]
        nats[order] = _nats(model, texts.valid), _nats(model, texts.test)
    best = min(nats, key=lambda order: nats[order][0])
    return best, nats[best][1]


def _nats(model: NGram, ids: Int[Tensor, "tokens"]) -> float:
    return float(-model.token_probabilities(ids)[1:].log().mean())
