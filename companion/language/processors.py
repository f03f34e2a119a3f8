r"""Which token to write: what is done to a model's logits before one is drawn.

With logits :math:`\ell` and p = softmax(ℓ), each processor leaves some tokens out (their logit becomes -∞) or moves logits:

- temperature (eq-decoding-temperature): :math:`p_T(x) \propto \exp(\ell_x / T)`
- top-k (eq-decoding-top-k): keep x if fewer than k tokens are more probable
- top-p, or nucleus (eq-decoding-top-p): keep x if the tokens that are more probable hold together less than p
- min-p (eq-decoding-min-p): keep x if :math:`p(x) \ge m \max_y p(y)`
- repetition penalty (eq-decoding-repetition): for each x that stands in the text so far, :math:`\ell_x / \theta` if
  :math:`\ell_x > 0`, else :math:`\theta \ell_x`

The token that crosses p is kept, and so is the most probable token, always. Several processors act one after the other, and
the order matters: the mass p is counted after the temperature and among what the processors before have left.

Sources: temperature: Ackley, Hinton & Sejnowski, 1985; top-k: Fan, Lewis & Dauphin, arXiv:1805.04833; top-p: Holtzman et al.,
arXiv:1904.09751; min-p: Nguyen et al., arXiv:2407.01082; repetition penalty: Keskar et al., arXiv:1909.05858, section 4.1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.language.contract import precise
from companion.validate import Count, Positive, Share, check_number, check_shapes, checked

Processor = Callable[[Int[Tensor, "batch n"], Float[Tensor, "batch vocab"]], Float[Tensor, "batch vocab"]]


def processed(
    logits: Float[Tensor, "batch vocab"], input_ids: Int[Tensor, "batch n"], processors: Sequence[Processor]
) -> Float[Tensor, "batch vocab"]:
    """The logits after all processors, one after the other, in float32 whatever the model computes in.

    Args:
        logits: of the token after the texts.
        input_ids: the texts so far.
        processors: each a function ``f(ids so far, logits) -> logits``.
    """
    logits = precise(logits)
    for process in processors:
        logits = process(input_ids, logits)
    return logits


@dataclass(frozen=True)
class Temperature:
    """Divide the logits (eq-decoding-temperature): below 1 the probable becomes more probable, above 1 less.

    Attributes:
        value: above 0; the limit 0 is greedy decoding, which needs no draw.
    """

    value: float

    def __post_init__(self) -> None:
        check_number("temperature", self.value, low=0, open_low=True)

    def __call__(
        self, input_ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        """The logits to draw from."""
        logits = precise(logits)
        tiny = torch.finfo(logits.dtype).tiny
        value = min(max(self.value, tiny), 1 / tiny)  # neither it nor its inverse may become 0
        scaled = logits / value
        # Where that is too large for a float, only the distances from the largest logit count.
        fits = scaled.amax(-1, keepdim=True).isfinite()
        return torch.where(fits, scaled, (logits - logits.amax(-1, keepdim=True)) / value)


@checked
@dataclass(frozen=True)
class TopK:
    """Keep the k most probable tokens, and those that tie with the last of them (eq-decoding-top-k)."""

    k: Count

    def __call__(
        self, input_ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        """The logits to draw from."""
        last = logits.topk(min(self.k, logits.shape[-1])).values[:, -1:]
        return logits.masked_fill(logits < last, -math.inf)


@checked
@dataclass(frozen=True)
class TopP:
    """Keep the smallest set of most probable tokens that holds at least p (eq-decoding-top-p)."""

    p: Share

    def __call__(
        self, input_ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        """The logits to draw from."""
        rising = logits.argsort(-1)
        mass = precise(logits.gather(-1, rising)).softmax(-1).cumsum(-1)  # of each token and all that are less probable
        drop = mass <= 1 - self.p  # then what is more probable holds at least p
        drop[:, -1] = False
        return logits.masked_fill(torch.zeros_like(drop).scatter(-1, rising, drop), -math.inf)


@checked
@dataclass(frozen=True)
class MinP:
    """Keep tokens at least ``share`` times as probable as the most probable one (eq-decoding-min-p)."""

    share: Share

    def __call__(
        self, input_ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        """The logits to draw from."""
        logits = precise(logits)
        bar = logits.amax(-1, keepdim=True) + (math.log(self.share) if self.share else -math.inf)
        return logits.masked_fill(logits < bar, -math.inf)


@checked
@dataclass(frozen=True)
class RepetitionPenalty:
    """Make each token of the text so far, the prompt included, less probable (eq-decoding-repetition).

    Attributes:
        theta: above 1 to punish repetition, 1 for nothing, below 1 to reward it.
    """

    theta: Positive

    def __call__(
        self, input_ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        """The logits to draw from."""
        check_shapes(input_ids=(input_ids, "batch n"), logits=(logits, "batch vocab"))
        seen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, input_ids, True)
        return torch.where(seen, torch.where(logits < 0, logits * self.theta, logits / self.theta), logits)
