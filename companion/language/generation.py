"""Writing with a language model: one token after the other, each computed once.

    x_{t+1} ~ softmax(f(logits(x_1 … x_t)))                                                   (eq-generate)

where f are the processors of `companion.language.processors`: temperature, top-p and the like. The keys and values of what is
already written lie in a cache (`companion.nn.kv_cache`), so each step reads one token, not the whole text again.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.nn.kv_cache import KVCache
from companion.training import evaluating
from companion.validate import check_count, check_shapes

Processor = Callable[[Int[Tensor, "batch n"], Float[Tensor, "batch vocab"]], Float[Tensor, "batch vocab"]]


def generate(
    model: nn.Module,
    input_ids: Int[Tensor, "batch n"],
    new_tokens: int,
    *,
    processors: Sequence[Processor] = (),
    generator: torch.Generator | None = None,
    stop_token: int | None = None,
) -> Int[Tensor, "batch longer"]:
    """Continue each row of a batch (eq-generate): greedy without a generator, drawn with one.

    When the text outgrows the model's context, the model forgets the older half and reads the newer again.

    Args:
        model: a `companion.language.scoring.LanguageModel`; its mode is restored.
        input_ids: the prompts, all of one length, shape (batch, n).
        new_tokens: how many to write.
        processors: change the logits of the next token, in this order: ``f(ids so far, logits) -> logits``.
        generator: draws the tokens.
        stop_token: a row that has written it is filled up with it; when all rows have, the writing ends.

    Returns:
        The prompts with what was written after them: n + ``new_tokens`` tokens a row, fewer only if all rows stopped.

    Raises:
        ValueError: an empty prompt, or a number of tokens below 0.
    """
    check_shapes(input_ids=(input_ids, "batch n"))
    check_count("new_tokens", new_tokens, low=0)
    batch, prompt = input_ids.shape
    ids = input_ids.new_empty(batch, prompt + new_tokens)
    ids[:, :prompt] = input_ids
    done = torch.zeros(batch, dtype=torch.bool, device=ids.device)
    context = model.config.context
    with evaluating(model), torch.inference_mode():
        caches, read = empty_caches(model), 0
        for end in range(prompt, prompt + new_tokens):
            if end - read + caches[0].length > context:
                caches, read = empty_caches(model), end - (context + 1) // 2
            logits = model(ids[:, read:end], caches)[:, -1]
            read = end
            for process in processors:
                logits = process(ids[:, :end], logits)
            chosen = choose(logits, generator)
            if stop_token is not None:
                chosen = torch.where(done, stop_token, chosen)
                done |= chosen == stop_token
            ids[:, end] = chosen
            if stop_token is not None and done.all():
                return ids[:, : end + 1].clone()
    return ids.clone()


def choose(logits: Float[Tensor, "batch vocab"], generator: torch.Generator | None = None) -> Int[Tensor, "batch"]:
    """One token a row: the likeliest without a generator, drawn from softmax(logits) with one."""
    if generator is None:
        return logits.argmax(-1)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


def empty_caches(model: nn.Module) -> list[KVCache]:
    """One empty cache for each layer, what a model takes as ``past_key_values``."""
    return [KVCache() for _ in range(model.config.layers)]
