"""A Gemma of a hundred thousand parameters, whole or with one part exchanged: what is a part worth?

The sizes are those of the lesson: two layers, the first local and the second global, for passages of 64 tokens. Each entry of
`CHANGES` exchanges one part and keeps the rest, the number of matrix weights to within one in a hundred included:

- Gemma 3's norms of queries and keys against none, and against the caps of Gemma 2 (arXiv:2408.00118, arXiv:2503.19786);
- the four norms of a block (eq-sandwich-block) against the two of eq-block;
- the gated MLP (eq-geglu) against a plain one (eq-mlp) with 3/2 of the hidden width, which has as many weights;
- a local layer against a global one.

Departures: rotary bases of thousands are made for thousands of places, in 64 most pairs would hardly turn: both bases are 300;
and matrices start from N(0, 1/width), see `companion.text.llama.LlamaConfig`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from companion.nn.mlp import MLP
from companion.nn.norms import ZeroCentredRMSNorm
from companion.nn.transformer_block import TransformerBlock
from companion.text.gemma.config import GemmaConfig
from companion.text.gemma.model import Gemma
from companion.validate import Count, check_choice, checked

CONTEXT, WIDTH, HIDDEN, WINDOW = 64, 64, 128, 16
WHOLE = "whole"


def miniature_config(vocab_size: int) -> GemmaConfig:
    """The sizes of the miniature, in Gemma 3's ways."""
    heads = {"heads": 4, "kv_heads": 2, "head_width": 16}
    bases = {"local_base": 300.0, "global_base": 300.0}
    sizes = {"width": WIDTH, "hidden": HIDDEN, "window": WINDOW, "global_every": 2, "init_std": WIDTH**-0.5}
    return GemmaConfig(vocab_size, CONTEXT, layers=2, **heads, **bases, **sizes)


def _plain_mlps(config: GemmaConfig) -> Gemma:
    model = Gemma(config)
    for block in model.blocks:
        block.mlp = MLP(config.width, 3 * config.hidden // 2)
    return model


def _two_norms(config: GemmaConfig) -> Gemma:
    model = Gemma(config)
    norm = partial(ZeroCentredRMSNorm, config.width, eps=config.norm_eps)
    model.blocks = nn.ModuleList(TransformerBlock(block.attention, block.mlp, norm) for block in model.blocks)
    return model


CHANGES: dict[str, Callable[[GemmaConfig], Gemma]] = {
    "no QK norm": lambda config: Gemma(replace(config, qk_norm=False)),
    "caps, no QK norm": lambda config: Gemma(replace(config, qk_norm=False, score_cap=50.0, logit_cap=30.0)),
    "two norms": _two_norms,
    "plain MLP": _plain_mlps,
    "global layers": lambda config: Gemma(replace(config, global_every=1)),
}


@checked
def miniature(vocab_size: Count, change: str = WHOLE) -> Gemma:
    """A miniature before training.

    Args:
        vocab_size: how many tokens there are.
        change: `WHOLE`, or one of `CHANGES`.

    Raises:
        ValueError: an unknown change.
    """
    check_choice("change", change, [WHOLE, *CHANGES])
    config = miniature_config(vocab_size)
    model = Gemma(config) if change == WHOLE else CHANGES[change](config)
    for parameter in model.parameters():  # what was exchanged starts as the rest does
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=config.init_std)
    return model
