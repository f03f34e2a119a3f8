"""Two implementations of one piece of work, timed by turns in one run, so that a slow minute of the machine hits both."""

import statistics
import time
from collections.abc import Callable

import torch

THREADS = 2


def compare(benchmark, ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int = 7) -> float:
    """Time ``theirs`` and ``ours`` by turns; the median ratio of their times goes into pytest-benchmark's record.

    Args:
        benchmark: pytest-benchmark's fixture; its table shows our times.
        rounds: pairs that count, after one of each to warm up.

    Returns:
        How many times as fast ours is: the median over the pairs.
    """
    torch.set_num_threads(THREADS)
    theirs(), ours()
    other: list[float] = []

    def time_theirs() -> None:
        started = time.perf_counter()
        theirs()
        other.append(time.perf_counter() - started)

    benchmark.pedantic(ours, setup=time_theirs, rounds=rounds, iterations=1)
    own = benchmark.stats.stats.data
    ratios = [b / a for a, b in zip(own, other, strict=True)]
    ratio = statistics.median(ratios)
    benchmark.extra_info.update(
        ratio=round(ratio, 2),
        low=round(min(ratios), 2),
        high=round(max(ratios), 2),
        ours_ms=round(1000 * statistics.median(own), 1),
        theirs_ms=round(1000 * statistics.median(other), 1),
    )
    return ratio
