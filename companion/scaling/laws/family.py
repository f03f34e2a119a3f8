r"""A family of small language models of one shape, each trained on its own schedule, and what every run cost.

A scaling law is fitted to runs (N, D, L). They must be comparable, and each must be as good as its N and D allow:

- one shape: `LAYERS` blocks of today's decoder, heads of about `HEAD_WIDTH`; only the width w differs
- a learning rate that suits width and length (eq-laws-lr):
  :math:`\eta(w, D) = \eta_{32}\, (32 / w)^{p} \min\big(1, \sqrt{D_0 / D}\big)`, with `RATE`, `POWER` and `SHORT`, tuned by
  trials on validation text at widths from 8 to 48 and from 100 to 2,000 updates
- a schedule that ends with the run: the learning rate falls along half a cosine to `FINAL` of its height at the last of the
  D tokens. A checkpoint from the middle of a longer run has a rate that is still high, and a worse loss than a run that was
  planned for its D; Hoffmann et al. name this as what led Kaplan et al. to too large models
- operations counted, not estimated: `tokens_for` turns a compute into D by `companion.scaling.flops.decoder_flops`

Sources: Hoffmann et al., 2022, arXiv:2203.15556, sections 2 and 3; Kaplan et al., 2020, arXiv:2001.08361; learning rates that
fall with the width: Yang et al., "Tensor Programs V", 2022, arXiv:2203.03466.

Departures: the matrices start with a variance of one over the number of their inputs, those that write into the stream with a
quarter of it. A Llama's 0.02 is meant for widths of a thousand; at a width of 16 it costs the first hundred updates.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.language.scoring import next_token_loss, passages
from companion.scaling.flops import decoder_flops
from companion.text.llama import Llama, LlamaConfig
from companion.training import TrainConfig, train
from companion.validate import Count, Positive, Range, checked

__all__ = [
    "build_member",
    "count_parameters",
    "family_config",
    "learning_rate",
    "sizes_along",
    "start_evenly",
    "tokens_for",
    "train_to_end",
]

CONTEXT, LAYERS, HEAD_WIDTH, BATCH = 64, 2, 16, 4
RATE, POWER, SHORT, FINAL, WARMUP = 0.02, 0.75, 55_000, 0.05, 0.1


@checked
def family_config(width: Annotated[int, Range(4)], vocab_size: Count) -> LlamaConfig:
    """The family's member of that width: as many heads as fit, a gated MLP of about 8/3 of the width."""
    heads = max(1, width // HEAD_WIDTH)
    while width % (2 * heads):
        heads -= 1
    return LlamaConfig(vocab_size, CONTEXT, width, LAYERS, heads, heads, hidden=8 * max(1, round(width / 3)))


def count_parameters(config: LlamaConfig) -> int:
    """N of a tied decoder: the token table, and a layer's four maps of attention (or five), three of the MLP and two norms."""
    w, kv_width = config.width, config.width // config.heads * config.kv_heads
    layer = (2 + config.gated_attention) * w * w + 2 * w * kv_width + 3 * w * config.hidden + 2 * w
    return config.vocab_size * w + config.layers * layer + w


@checked
def learning_rate(width: Count, tokens: Count) -> float:
    """The highest learning rate for a width and a length of training (eq-laws-lr)."""
    return RATE * (32 / width) ** POWER * min(1.0, (SHORT / tokens) ** 0.5)


@checked
def tokens_for(compute: Positive, config: LlamaConfig) -> int:
    """D: how many tokens a compute allows, in whole batches and at least one; exact, not C / 6N."""
    batch = BATCH * CONTEXT
    return batch * max(1, round(compute / (3 * decoder_flops(config) * batch)))


@checked
def sizes_along(
    compute: Positive, vocab_size: Count, *, points: Annotated[int, Range(2)] = 400
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """N and D of one compute as if the width were any number from 3 to 400, the hidden width 8/3 of it: for curves."""
    w = torch.logspace(0.5, 2.6, points, dtype=torch.float64)
    n = vocab_size * w + LAYERS * (12 * w**2 + 2 * w) + w
    return n, compute / (6 * (LAYERS * (12 * w**2 + 2 * CONTEXT * w) + w * vocab_size))


@torch.no_grad()
def start_evenly(model: nn.Module) -> None:
    """Draw the weights anew: each linear map gives outputs as large as its inputs, those into the stream half as large."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name != "out":  # that one is the token table
            writes = name.endswith((".out", ".down", ".narrow"))
            module.weight.normal_(std=module.in_features**-0.5 * (0.5 if writes else 1.0))
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(std=module.embedding_dim**-0.5)


@checked
def build_member(width: int, vocab_size: int, seed: Annotated[int, Range(0)]) -> Llama:
    """The untrained member of a width."""
    torch.manual_seed(1_000_003 * seed + width)
    model = Llama(family_config(width, vocab_size))
    start_evenly(model)
    return model


@checked
def train_to_end(
    model: nn.Module,
    ids: Int[Tensor, "length"],
    tokens: Annotated[int, Range(BATCH * CONTEXT)],
    *,
    lr: float,
    seed: int,
    final: float = FINAL,
) -> nn.Module:
    """Train on ``tokens`` tokens, drawn as passages of a text, with a schedule that ends there.

    Args:
        model: any language model that reads `CONTEXT` tokens, on the device of the text.
        ids: the text.
        tokens: D; rounded down to whole batches.
        lr: the highest learning rate.
        seed: of the passages.
        final: the share of ``lr`` at the end; 1 for a rate that never falls.

    Raises:
        ValueError: less than one batch of tokens.
    """
    config = TrainConfig(
        steps=tokens // (BATCH * CONTEXT), batch_size=BATCH, lr=lr, warmup=WARMUP, final_lr=final, seed=seed
    )
    return train(model, next_token_loss, passages(ids, CONTEXT + 1), config).model
