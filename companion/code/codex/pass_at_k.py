r"""pass@k: the chance that at least one of k programs is right.

Of n programs written for a task, c pass its tests. The estimator without bias (eq-codex-pass-at-k):

    pass@k = 1 - C(n - c, k) / C(n, k) = 1 - Π_{i = n-c+1}^{n} (1 - k / i)

The binomials overflow a float; the product does not. The tempting formula 1 - (1 - c/n)^k is too small on average
(eq-codex-plug-in): it draws k programs with replacement, so it may draw one wrong program twice.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374, eq. 1 and appendix A. No departure.
"""

import math
from collections.abc import Callable, Sequence

from scipy.stats import binom

from companion.validate import Count, Share, check_count, checked


@checked
def pass_at_k(n: Count, c: int, k: int) -> float:
    """The estimate from n programs of which c are right, without bias (eq-codex-pass-at-k).

    Raises:
        ValueError: c outside 0 … n, or k outside 1 … n: fewer than k programs say nothing about k.
    """
    check_count("c", c, low=0, high=n)
    check_count("k", k, high=n)
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


@checked
def plug_in(n: Count, c: int, k: Count) -> float:
    """The tempting estimate 1 - (1 - c/n)^k (eq-codex-plug-in): too small on average for k > 1."""
    check_count("c", c, low=0, high=n)
    return 1.0 - (1.0 - c / n) ** k


@checked
def expected(estimator: Callable[[int, int, int], float], n: Count, k: Count, p: Share) -> float:
    """The mean of an estimator when each of n programs is right with probability p: a sum over all c, no sampling."""
    chances = binom.pmf(range(n + 1), n, p)  # C(n, c) itself is too large for a float from n = 1,030 on
    return float(sum(chance * estimator(n, c, k) for c, chance in enumerate(chances) if chance))


def mean_pass_at_k(right: Sequence[int], n: int, k: int) -> float:
    """pass@k of a set of tasks: the mean over tasks, each with its number of right programs out of n.

    Raises:
        ValueError: no tasks.
    """
    if not right:
        raise ValueError("right: got no tasks, wanted at least one")
    return sum(pass_at_k(n, c, k) for c in right) / len(right)
