r"""The green-list watermark for language models, and the test that finds it without the model.

Before each token the previous one seeds a random number generator, which deals the V tokens into a green list of
G = ⌊γV⌋ tokens and a red rest. The writer adds δ to the logits of the green ones (eq-watermark-green):

.. math:: \tilde p_k \propto p_k \, e^{\delta \, [k \text{ is green}]}, \qquad
   P(\text{green}) = \frac{e^\delta q}{1 + (e^\delta - 1)\, q}, \quad q = \sum_{k \text{ green}} p_k

(eq-watermark-green; `green_chance`). Whoever knows the key deals the same lists again and counts the green tokens g among
the T that have a predecessor. Text that was written without the key has each with chance γ, so (eq-watermark-z)

.. math:: z = \frac{g - \gamma T}{\sqrt{T \gamma (1 - \gamma)}}

is nearly standard normal, and its upper tail is the p-value. That holds for *different* pairs of tokens only: a pair that
occurs twice is one draw, counted twice. `detect` therefore counts each distinct pair once, unless told otherwise.

Source: Kirchenbauer, Geiping, Wen, Katz, Miers & Goldstein, "A Watermark for Large Language Models", arXiv:2301.10226 (its
soft rule, algorithm 2, with a hash of one previous token), where section 4 notes the repeated pairs. A list is the first G of a
random permutation, as in transformers' ``WatermarkLogitsProcessor``. What seeds it is the `SeedingScheme`:

- ``"mixed"``, the default: 64 bits of BLAKE2b of key and token. The null needs that the lists of another key know nothing of
  those of this one, after *each* token. A cryptographic hash gives that: no relation between two keys, or between a key and
  its lists, is left in the seeds. (torch's generator on the CPU keeps the lower 32 bits, so two lists agree by chance once in
  four billion.)
- ``"lefthash"``, the library's: seed = key · token, so that either side detects the other's text. Its keys collide: after
  token 0 the seed is 0 and the list the same under every key, so text that one key marked is green there for all of them.

Departure: γ in the test is the share that the lists really have, G/V, which differs from the asked one if γV is not whole.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.validate import (
    Count,
    Finite,
    NonNegative,
    Range,
    check_count,
    check_labels,
    checked,
)

SeedingScheme: TypeAlias = Literal["mixed", "lefthash"]


@checked
@dataclass(frozen=True)
class GreenLists:
    """The secret: which tokens are green after which.

    Attributes:
        vocab_size: the number V of tokens.
        ratio: γ, the share of green tokens that is asked for.
        key: the secret number; the default is the library's, known to everybody.
        seeding_scheme: how key and token become the seed of a list; ``"lefthash"`` for texts of the library.
    """

    vocab_size: Annotated[int, Range(2)]
    ratio: Annotated[float, Range(0, 1, open_low=True)] = 0.25
    key: Count = 15_485_863
    seeding_scheme: SeedingScheme = "mixed"

    def __post_init__(self) -> None:
        if not 0 < self.size < self.vocab_size:
            raise ValueError(
                f"ratio: got {self.ratio}, which makes {self.size} of {self.vocab_size} tokens green; wanted both colours"
            )

    @property
    def size(self) -> int:
        """G, the green tokens of each list."""
        return int(self.vocab_size * self.ratio)

    @property
    def share(self) -> float:
        """The share of green tokens that the lists have, G/V: the chance of green under the null."""
        return self.size / self.vocab_size

    def after(self, previous: Int[Tensor, "n"]) -> Bool[Tensor, "n vocab"]:
        """Which tokens are green after each of these."""
        check_labels("previous", previous, self.vocab_size)
        return torch.stack([_dealt(self, token) for token in previous.tolist()]).to(previous.device)

    def seed(self, previous: int) -> int:
        """What seeds the list after this token, below 2⁶⁴."""
        if self.seeding_scheme == "lefthash":
            return self.key * previous % (2**64 - 1)
        digest = hashlib.blake2b(f"{self.key} {previous}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    @checked
    def colours(self, ids: Int[Tensor, "n"]) -> Bool[Tensor, "n_minus_1"]:
        """For each token but the first: is it green after its predecessor?"""
        check_labels("ids", ids, self.vocab_size)
        if len(ids) < 2:
            raise ValueError(f"ids: got {len(ids)} token, wanted at least 2: the first one has no predecessor")
        kinds, which = ids[:-1].unique(return_inverse=True)
        return self.after(kinds)[which, ids[1:]]


def deal(seed: int, vocab_size: int, size: int) -> Bool[Tensor, "vocab"]:
    """Which tokens are green: the first ``size`` of a shuffle of all that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    green = torch.zeros(vocab_size, dtype=torch.bool)
    green[torch.randperm(vocab_size, generator=generator)[:size]] = True
    return green


@lru_cache(maxsize=8192)
def _dealt(lists: GreenLists, previous: int) -> Tensor:
    return deal(lists.seed(previous), lists.vocab_size, lists.size)


@checked
@dataclass(frozen=True)
class Watermark:
    """Writes the watermark: a processor for `companion.language.generation.generate` (eq-watermark-green).

    Attributes:
        lists: the secret.
        delta: δ, what is added to a green token's logit. 0 leaves the model as it is.
    """

    lists: GreenLists
    delta: NonNegative = 2.0

    @checked
    def __call__(
        self, input_ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab={self.lists.vocab_size}"]
    ) -> Float[Tensor, "batch vocab"]:
        """The logits of the next token, those of the green ones raised by δ."""
        return logits + self.delta * self.lists.after(input_ids[:, -1]).to(logits)


@dataclass(frozen=True)
class Detection:
    """What `detect` found in one text.

    Attributes:
        scored: T, the pairs that were counted.
        green: g, those whose second token is green.
        z: standard deviations above what text without the key has (eq-watermark-z).
        p_value: the chance that such text scores at least as high, by the normal approximation as published.
        p_exact: the same by the binomial distribution; the normal one is too sure of short texts.
    """

    scored: int
    green: int
    z: float
    p_value: float
    p_exact: float


def detect(ids: Int[Tensor, "n"], lists: GreenLists, *, count_repeats: bool = False) -> Detection:
    """Count the green tokens of a text and compare with chance. Needs the key, neither model nor prompt.

    Args:
        ids: the text's tokens, two at least.
        lists: the secret it may have been written with.
        count_repeats: count a pair of tokens as often as it occurs. The null is then too narrow: loops look like marks.
    """
    green = lists.colours(ids)
    if not count_repeats:
        pairs = (ids[:-1] * lists.vocab_size + ids[1:]).tolist()
        first = list({pair: place for place, pair in reversed(list(enumerate(pairs)))}.values())
        green = green[first]
    scored, found, share = len(green), int(green.sum()), lists.share
    z = (found - share * scored) / math.sqrt(scored * share * (1 - share))
    return Detection(scored, found, z, 0.5 * math.erfc(z / math.sqrt(2)), binomial_tail(found, scored, share))


@checked
def binomial_tail(at_least: int, trials: Count, chance: Annotated[float, Range(0, 1, open_low=True)]) -> float:
    """P(X ≥ at_least) for X ~ Binomial(trials, chance), summed from the logarithms of its terms."""
    check_count("at_least", at_least, low=0, high=trials)
    if at_least == 0 or chance == 1:
        return 1.0
    k = torch.arange(at_least, trials + 1, dtype=torch.float64)
    n = torch.tensor(float(trials), dtype=torch.float64)
    log_terms = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    log_terms = log_terms + k * math.log(chance) + (n - k) * math.log1p(-chance)
    return min(1.0, float(log_terms.logsumexp(0).exp()))


@checked
def green_chance(
    probabilities: Finite[Tensor, "batch vocab"], green: Bool[Tensor, "batch vocab"], delta: NonNegative
) -> Float[Tensor, "batch"]:
    """The chance that the next token is green once δ has been added (eq-watermark-green).

    Where the model is sure of one red token, q is near 0 and no δ of a few units helps: text that could hardly have been
    otherwise cannot carry a mark.
    """
    q = (probabilities * green).sum(-1)
    return math.exp(delta) * q / (1 + math.expm1(delta) * q)
