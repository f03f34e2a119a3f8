"""Writing with a language model: one token after the other, each computed once.

    x_{t+1} ~ softmax(f(logits(x_1 … x_t)))                                                   (eq-generate)

where f are the processors of `companion.language.processors`: temperature, top-p and the like. What the model has read lies in
its state (`companion.language.contract.State`), so each step reads one token, not the whole text again. The prompt is read
once, also where it is continued several times: the state's rows are copied.

An encoder-decoder writes here too: with its source given it is a language model of the target
(`companion.language.conditioning`).
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import State, precise
from companion.language.processors import Processor, processed
from companion.training import evaluating
from companion.training.random import multinomial
from companion.validate import Count, Range, checked


@checked
def generate(
    model: nn.Module,
    input_ids: Int[Tensor, "batch n"],
    new_tokens: Annotated[int, Range(0)],
    *,
    attention_mask: Bool[Tensor, "batch n"] | None = None,
    samples: Count = 1,
    processors: Sequence[Processor] = (),
    generator: torch.Generator | None = None,
    stop_token: int | None = None,
) -> Int[Tensor, "rows longer"]:
    """Continue each row of a batch (eq-generate): greedy without a generator, drawn with one.

    When a text outgrows the model's context, the model forgets the older half and reads the newer again.

    Args:
        model: a `companion.language.contract.LanguageModel`; its mode is restored.
        input_ids: the prompts; unequal ones padded in front, as `contract.left_padded` does.
        new_tokens: how many to write.
        attention_mask: False at the padding. Each row is continued as it would be alone.
        samples: how often each prompt is continued; the continuations of one prompt stand side by side.
        processors: change the logits of the next token, in this order: ``f(ids so far, logits) -> logits``. They see a
            row's own text, without padding.
        generator: draws the tokens.
        stop_token: a row that has written it is filled up with it; when all rows have, the writing ends.

    Returns:
        The prompts with what was written after them: n + ``new_tokens`` tokens a row, fewer only if all rows stopped.

    Raises:
        ValueError: an empty prompt, padding that is not in front, or numbers out of range.
    """
    batch, prompt = input_ids.shape
    starts = _starts(input_ids, attention_mask).repeat_interleave(samples)
    with torch.inference_mode(False):  # the answer can be used by autograd, wherever this is called
        ids = torch.empty(batch * samples, prompt + new_tokens, dtype=input_ids.dtype, device=input_ids.device)
    ids[:, :prompt] = input_ids.repeat_interleave(samples, 0)
    done, end = torch.zeros(len(ids), dtype=torch.bool, device=ids.device), prompt
    with evaluating(model), torch.inference_mode():
        reader, process = BatchReader(model, ids, starts, samples), _each_alone(processors, starts)
        while end < prompt + new_tokens and not (stop_token is not None and done.all()):
            chosen = choose(process(ids[:, :end], reader.logits_at(end)), generator)
            if stop_token is not None:
                chosen = torch.where(done, stop_token, chosen)
                done |= chosen == stop_token
            ids[:, end] = chosen
            end += 1
    return ids[:, :end]


def choose(logits: Float[Tensor, "batch vocab"], generator: torch.Generator | None = None) -> Int[Tensor, "batch"]:
    """One token a row: the likeliest without a generator, drawn from softmax(logits) with one."""
    if generator is None:
        return logits.argmax(-1)
    return multinomial(precise(logits).softmax(-1), 1, generator)[:, 0]


class BatchReader:
    """Reads a growing batch of texts, each token once; where a row outgrows the context, what it still may see anew."""

    def __init__(self, model: nn.Module, ids: Tensor, starts: Tensor, samples: int) -> None:
        self.model, self.ids, self.starts, self.samples = model, ids, starts, samples
        self.places = torch.arange(ids.shape[1], device=ids.device)
        self._forget(0)

    def logits_at(self, end: int) -> Float[Tensor, "rows vocab"]:
        """The logits of the token at place ``end``, which are computed from what stands before it."""
        if end - self.first > self.model.config.context:
            self._forget(end)
        new, mask = self.ids[:, self.read : end], None if self.real is None else self.real[:, self.first : end]
        self.read = end
        return (self._begin(new, mask) if self.state is None else self.model(new, self.state, mask))[:, -1]

    def _begin(self, ids: Tensor, mask: Tensor | None) -> Float[Tensor, "rows n vocab"]:
        """Read with a new state; samples of one prompt are still the same text, which is read once."""
        several, self.samples = self.samples, 1  # from now on each goes its own way
        self.state = self.model.new_state(len(ids) // several)
        logits = self.model(ids[::several], self.state, None if mask is None else mask[::several])
        if several > 1:
            copies = torch.arange(len(logits), device=ids.device).repeat_interleave(several)
            self.state, logits = self.state.select(copies), logits[copies]
        return logits

    def _forget(self, end: int) -> None:
        """Let the rows that are too long at this place begin later, and read all rows anew."""
        context = self.model.config.context
        self.starts = torch.where(end - self.starts > context, end - (context + 1) // 2, self.starts)
        self.first = self.read = int(self.starts.min())
        self.state: State | None = None
        padded = bool((self.starts > self.first).any())
        self.real = self.places >= self.starts[:, None] if padded else None


def _starts(input_ids: Tensor, attention_mask: Tensor | None) -> Int[Tensor, "batch"]:
    """The place of each row's first real token."""
    if attention_mask is None:
        return torch.zeros(len(input_ids), dtype=torch.int64, device=input_ids.device)
    real = attention_mask.bool()
    if not real[:, -1].all() or (real[:, :-1] & ~real[:, 1:]).any():
        raise ValueError("attention_mask: got padding behind a real token, wanted it in front of the prompts alone")
    return (~real).sum(1)


def _each_alone(processors: Sequence[Processor], starts: Int[Tensor, "batch"]) -> Processor:
    """All processors as one, which shows each row's own text to them: rows of one length together."""

    def process(ids: Tensor, logits: Tensor) -> Tensor:
        return processed(logits, ids, processors)

    groups = [(start, (starts == start).nonzero()[:, 0]) for start in starts.unique().tolist()]
    if not processors or groups[0][0] == 0 and len(groups) == 1:
        return process

    def process_groups(ids: Tensor, logits: Tensor) -> Tensor:
        found = precise(logits).clone()
        for start, rows in groups:
            found[rows] = process(ids[rows, start:], found[rows])
        return found

    return process_groups
