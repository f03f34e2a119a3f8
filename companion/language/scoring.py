"""What every model of token sequences here has in common: its interface, its data, its objective, its measure.

    loss = -1/T Σ_t log p(x_{t+1} | x_1 … x_t)                                                (eq-next-token)

in nats a token. The inputs are x_1 … x_T and the targets x_2 … x_{T+1}: shifted once, here and nowhere else.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.kv_cache import KVCache
from companion.training import evaluating
from companion.validate import check_count, check_shapes


@runtime_checkable
class LanguageModelConfig(Protocol):
    """The sizes that every language model has."""

    vocab_size: int
    context: int
    layers: int


@runtime_checkable
class LanguageModel(Protocol):
    """A model that reads tokens and, at each, predicts the next.

    Attributes:
        config: its sizes: ``vocab_size``, ``context`` (the most tokens that it can read at once), ``layers``.
    """

    config: LanguageModelConfig

    def __call__(
        self, input_ids: Int[Tensor, "batch n"], past_key_values: Sequence[KVCache] | None = None
    ) -> Float[Tensor, "batch n vocab"]:
        """Logits of the next token at each position; with caches, ``input_ids`` holds only the new tokens."""
        ...


def next_token_loss(
    model: nn.Module, batch: tuple[Int[Tensor, "batch length"]], generator: torch.Generator | None = None
) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of each token given those before it, in nats (eq-next-token), as `train` calls it.

    Args:
        model: a `LanguageModel`.
        batch: one tensor of token numbers, shape (batch, context + 1).
        generator: not needed: the objective draws nothing.
    """
    (ids,) = batch
    logits = model(ids[:, :-1])
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def windows(
    ids: Int[Tensor, "tokens"], length: int
) -> Callable[[int, torch.Generator], tuple[Int[Tensor, "n length"]]]:
    """Data for `train`: a function that draws n passages of ``length`` tokens from anywhere in a text.

    For a context of T tokens ask for passages of T + 1: the last is only a target.

    Raises:
        ValueError: a text shorter than one passage.
    """
    check_count("length", length, low=2)
    check_shapes(ids=(ids, "tokens"))
    if len(ids) < length:
        raise ValueError(f"ids: got {len(ids)} tokens, wanted at least one passage of {length}")
    passages = ids.unfold(0, length, 1)  # a view: passage i begins at token i

    def draw(n: int, generator: torch.Generator) -> tuple[Int[Tensor, "n length"]]:
        return (passages[torch.randint(len(passages), (n,), generator=generator)],)

    return draw


def mean_nats(
    model: nn.Module, ids: Int[Tensor, "tokens"], *, context: int | None = None, batch_size: int = 64
) -> float:
    """What the model pays for a text: nats a token (eq-next-token), over every token but the first.

    The text is read in passages of ``context`` tokens side by side, each token predicted exactly once, so early tokens of
    a passage see little of what came before; a sliding window would give a slightly lower figure. Tokens are weighted
    alike, the last, shorter passage included.

    Args:
        model: a `LanguageModel`; its mode is restored.
        ids: the text's tokens.
        context: how many tokens the model sees at most; the model's own if not given.
        batch_size: passages at a time, which does not change the result.

    Raises:
        ValueError: fewer than two tokens, or sizes out of range.
    """
    context = model.config.context if context is None else context
    check_count("context", context, high=model.config.context)
    check_count("batch_size", batch_size)
    check_shapes(ids=(ids, "tokens"))
    if len(ids) < 2:
        raise ValueError(f"ids: got {len(ids)} tokens, wanted at least 2: one to see and one to predict")
    whole = (len(ids) - 1) // context
    inputs, targets = (part[: whole * context].view(whole, context) for part in (ids[:-1], ids[1:]))
    parts = [*zip(inputs.split(batch_size), targets.split(batch_size), strict=True)] if whole else []
    if (len(ids) - 1) % context:
        parts.append((ids[whole * context : -1][None], ids[whole * context + 1 :][None]))
    device, total = next(model.parameters()).device, 0.0
    with evaluating(model):
        for seen, wanted in parts:
            logits = model(seen.to(device))
            total += float(F.cross_entropy(logits.flatten(0, 1), wanted.to(device).flatten(), reduction="sum"))
    return total / (len(ids) - 1)


def perplexity(nats: float) -> float:
    """exp(nats a token): among how many equally likely tokens the model seems to choose."""
    return math.exp(nats)


def check_tokens(input_ids: Tensor, past_key_values: Sequence[KVCache] | None, vocab_size: int, layers: int) -> int:
    """Check a language model's input; the position of its first token, which is the caches' length.

    Raises:
        ValueError: not whole numbers of shape (batch, n), numbers out of range, or not one cache a layer.
    """
    check_shapes(input_ids=(input_ids, "batch n"))
    if input_ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"input_ids: got {input_ids.dtype}, wanted int64 token numbers")
    low, high = (int(bound) for bound in torch.aminmax(input_ids))
    if low < 0 or high >= vocab_size:
        raise ValueError(f"input_ids: got numbers from {low} to {high}, wanted 0 to {vocab_size - 1}")
    if past_key_values is None:
        return 0
    if len(past_key_values) != layers:
        raise ValueError(f"past_key_values: got {len(past_key_values)} caches, wanted one for each of {layers} layers")
    return past_key_values[0].length
