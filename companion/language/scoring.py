"""Scoring texts with a language model: the log-probability of each token, and what is made of it.

    loss = -1/T Σ_t log p(x_{t+1} | x_1 … x_t)                                                (eq-next-token)

in nats a token. The inputs are x_1 … x_T and the targets x_2 … x_{T+1}: shifted once, here and nowhere else. Whatever the
model computes in, log-probabilities are taken of float32 logits: a softmax in bf16 is wrong in the third digit.
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.language.contract import device_of, precise
from companion.training import evaluating
from companion.training.random import randint
from companion.validate import Count, Range, check_count, checked


def token_log_probs(
    model: nn.Module, ids: Int[Tensor, "batch n"], mask: Bool[Tensor, "batch n"] | None = None
) -> Float[Tensor, "batch n-1"]:
    """log p(x_t | x_1 … x_{t-1}) of each token but the first, in nats; differentiable, in the model's present mode.

    Args:
        model: a `companion.language.contract.LanguageModel`.
        ids: texts, n from 2 to the model's context + 1.
        mask: True at real tokens and False at padding, on either side. Padding has the log-probability 0, and so has a
            row's first real token, as nothing stands before it.
    """
    if mask is None:
        return -_nats(model(ids[:, :-1]), ids[:, 1:])
    log_p = -_nats(model(ids[:, :-1], attention_mask=mask[:, :-1]), ids[:, 1:])
    return log_p.masked_fill(~mask[:, 1:] | (mask.cumsum(1)[:, :-1] == 0), 0.0)


def next_token_loss(
    model: nn.Module, batch: tuple[Int[Tensor, "batch length"]], generator: torch.Generator | None = None
) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of each token given those before it, in nats (eq-next-token), as `train` calls it.

    Args:
        model: a `companion.language.contract.LanguageModel`.
        batch: one tensor of token numbers, shape (batch, context + 1).
        generator: not needed: the objective draws nothing.
    """
    (ids,) = batch
    logits = precise(model(ids[:, :-1]))
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


@checked
def passages(
    ids: Int[Tensor, "tokens"], length: Annotated[int, Range(2)]
) -> Callable[[int, torch.Generator], tuple[Int[Tensor, "n length"]]]:
    """Data for `train`: a function that draws n passages of ``length`` tokens from anywhere in a text.

    For a context of T tokens ask for passages of T + 1: the last is only a target.

    Raises:
        ValueError: a text shorter than one passage.
    """
    if len(ids) < length:
        raise ValueError(f"ids: got {len(ids)} tokens, wanted at least one passage of {length}")
    all_passages = ids.unfold(0, length, 1)  # a view: passage i begins at token i

    def draw(n: int, generator: torch.Generator) -> tuple[Int[Tensor, "n length"]]:
        return (all_passages[randint(len(all_passages), (n,), generator, ids)],)

    return draw


@checked
def mean_nats(
    model: nn.Module, ids: Int[Tensor, "tokens"], *, context: int | None = None, batch_size: Count = 64
) -> float:
    """The mean negative log-likelihood of a text, in nats a token (eq-next-token), over every token but the first.

    The text is read in passages of ``context`` tokens side by side, each token predicted exactly once, so early tokens of
    a passage see little of what came before; a sliding window would give a slightly lower figure. Tokens are weighted
    alike, the last, shorter passage included.

    Args:
        model: a `companion.language.contract.LanguageModel`; its mode is restored.
        ids: the text's tokens.
        context: how many tokens the model sees at most; the model's own if not given.
        batch_size: passages at a time, which does not change the result.

    Raises:
        ValueError: fewer than two tokens, or sizes out of range.
    """
    context = model.config.context if context is None else context
    check_count("context", context, high=model.config.context)
    if len(ids) < 2:
        raise ValueError(f"ids: got {len(ids)} tokens, wanted at least 2: one to see and one to predict")
    whole = (len(ids) - 1) // context
    inputs, targets = (part[: whole * context].view(whole, context) for part in (ids[:-1], ids[1:]))
    parts = [*zip(inputs.split(batch_size), targets.split(batch_size), strict=True)] if whole else []
    if (len(ids) - 1) % context:
        parts.append((ids[whole * context : -1][None], ids[whole * context + 1 :][None]))
    device, total = device_of(model), 0.0
    with evaluating(model):
        for seen, wanted in parts:
            total += float(_nats(model(seen.to(device)), wanted.to(device)).cpu().double().sum())
    return total / (len(ids) - 1)


def perplexity(nats: float) -> float:
    """exp(nats a token): among how many equally likely tokens the model seems to choose."""
    return math.exp(nats)


def _nats(logits: Float[Tensor, "batch n vocab"], targets: Int[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
    """-log p of each target under the logits at its place."""
    return F.cross_entropy(precise(logits).flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
