r"""The floating-point operations of a training: the rule of thumb 6ND, and the exact count for today's decoder.

- the rule (eq-laws-six): :math:`C \approx 6 N D`: each parameter takes part in one multiplication and one addition for each
  token, going forward; the backward pass does the same work twice, once for the inputs' gradients and once for the weights'
- the exact count of one forward pass for one token (eq-laws-flops):
  :math:`c = 2 \big[\, \ell\,(2 w^2 + 2 w w_{kv} + 3 w h + 2 n w) + w V \,\big]`

with ℓ layers, width w, :math:`w_{kv}` = width of all key heads, hidden width h, context n and V symbols. 2nw is attention
itself: n scores and a mean of n values, the masked half included, as it is computed. Norms, rotations and softmaxes are left
out: they are not matrix products, and small. A gate on attention adds another w² to each layer. `companion.metrics.flops`
counts the operations that really run.

Sources: Kaplan et al., "Scaling Laws for Neural Language Models", 2020, arXiv:2001.08361, section 2.1 (6 N D, N without
embeddings); Hoffmann et al., 2022, arXiv:2203.15556, appendix F (an exact count, embeddings included).
"""

from typing import Annotated

from companion.text.llama import LlamaConfig
from companion.validate import Count, NonNegative, Range, checked

__all__ = ["decoder_flops", "six_nd", "training_flops"]


@checked
def six_nd(parameters: NonNegative, tokens: NonNegative) -> float:
    """C = 6 N D, the operations of a training (eq-laws-six)."""
    return 6.0 * parameters * tokens


@checked
def decoder_flops(config: LlamaConfig, *, context: Count | None = None) -> int:
    """Operations of one forward pass for one token of a text of ``context`` tokens (eq-laws-flops)."""
    n = config.context if context is None else context
    w, kv_width = config.width, config.width // config.heads * config.kv_heads
    projections = (2 + config.gated_attention) * w * w + 2 * w * kv_width  # q, out and perhaps a gate; k and v
    layer = projections + 3 * w * config.hidden + 2 * n * w
    return 2 * (config.layers * layer + w * config.vocab_size)


@checked
def training_flops(config: LlamaConfig, tokens: Annotated[int, Range(0)], *, context: int | None = None) -> int:
    """Operations of a training on ``tokens`` tokens: three forward passes' worth for each."""
    return 3 * tokens * decoder_flops(config, context=context)
