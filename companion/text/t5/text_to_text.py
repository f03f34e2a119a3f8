"""Every task as text to text: pairs of token rows, one loss for all of them, and the answers that a T5 writes.

Raffel et al. 2019, arXiv:1910.10683, section 2.4. What is to be done stands in front of the source ("translate English to
German: …"), and every target ends with the end token. The loss is that of the target given the source, over real tokens alone:

    L = -1/N Σ_rows Σ_t log p(y_t | y_1 … y_{t-1}, x)                                        (eq-t5-loss)

with N tokens in the batch's targets that are no padding: a short answer counts for as many as it has. The pad token is also
what the decoder reads first, so it is never a target.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from companion.language.beam_search import beam_search
from companion.language.contract import precise
from companion.language.generation import generate
from companion.text.t5.model import T5
from companion.training.losses import MaskedMean
from companion.validate import Count, Range, checked

END = 1  # the number of the end token in the published vocabularies


def padded(rows: Sequence[Sequence[int] | Int[Tensor, "_"]], *, pad: int = 0) -> Int[Tensor, "batch longest"]:
    """Rows of unequal length as one batch, each filled up at its end.

    Raises:
        ValueError: no rows, or a row without tokens.
    """
    tensors = [torch.as_tensor(row, dtype=torch.int64) for row in rows]
    if not tensors or not all(map(len, tensors)):
        shortest = min(map(len, tensors), default=0)
        raise ValueError(f"rows: got {len(tensors)} rows, the shortest of {shortest} tokens, wanted none empty")
    return pad_sequence(tensors, batch_first=True, padding_value=pad)


@checked
def target_log_probs(
    model: T5, source: Int[Tensor, "batch n"], target: Int[Tensor, "batch t"]
) -> Float[Tensor, "batch t"]:
    """log p(y_t | y_1 … y_{t-1}, x) of each token of the targets, in nats, and 0 at padding; differentiable.

    Args:
        model: in its present mode.
        source: padded with the model's pad token, which is not read.
        target: padded in the same way, at the end.

    Raises:
        ValueError: a source of padding alone.
    """
    pad = model.config.pad_token
    logits = model(source, _real(model, source), model.shift_right(target))
    nats = F.cross_entropy(precise(logits).transpose(1, 2), target, reduction="none")
    return -nats.masked_fill(target == pad, 0.0)


def target_loss(model: T5, batch: tuple[Tensor, Tensor], generator: torch.Generator | None = None) -> MaskedMean:
    """The mean negative log-likelihood of the targets' tokens, in nats (eq-t5-loss), as `train` calls it.

    Args:
        model: to be trained.
        batch: sources and targets, as for `target_log_probs`.
        generator: not needed: the objective draws nothing.
    """
    source, target = batch
    return MaskedMean(-target_log_probs(model, source, target).sum(), (target != model.config.pad_token).sum())


@checked
def answers(
    model: T5,
    source: Int[Tensor, "batch n"],
    new_tokens: Count,
    *,
    beams: Count = 1,
    length_penalty: Annotated[float, Range()] = 1.0,
    stop_token: int = END,
) -> list[Int[Tensor, "_"]]:
    """What the model writes for each source: the tokens before the end token; its mode is restored.

    Args:
        model: reads each source once.
        source: padded with the model's pad token, on either side.
        new_tokens: the most tokens of an answer.
        beams: 1 for the likeliest next token, otherwise how many continuations `beam_search` follows, source by source.
        length_penalty: of the search.
        stop_token: ends an answer.

    Raises:
        ValueError: a source of padding alone.
    """
    real = _real(model, source)
    start = torch.full((len(source), 1), model.config.pad_token, device=source.device)
    if beams == 1:
        written = generate(model.given(source, real, context=new_tokens), start, new_tokens, stop_token=stop_token)
    else:
        written = [
            beam_search(
                model.given(row[None], mask[None], context=new_tokens), start[:1], new_tokens,
                beams=beams, length_penalty=length_penalty, stop_token=stop_token,
            )[0].ids
            for row, mask in zip(source, real, strict=True)
        ]  # fmt: skip
    return [_before(row[1:], stop_token) for row in written]


def _real(model: T5, source: Int[Tensor, "batch n"]) -> Bool[Tensor, "batch n"]:
    """Where a token is no padding."""
    real = source != model.config.pad_token
    if not real.any(1).all():
        raise ValueError("source: got a row of padding alone, wanted at least one token to read")
    return real


def _before(ids: Int[Tensor, "n"], token: int) -> Int[Tensor, "_"]:
    """What stands before the first such token; all of it if there is none."""
    ends = (ids == token).nonzero()
    return ids[: int(ends[0])] if len(ends) else ids
