r"""Speculative decoding: a small model writes ahead; the large one reads it all at once and keeps what it would have written.

Leviathan, Kalman & Matias, "Fast Inference from Transformers via Speculative Decoding", arXiv:2211.17192, algorithm 1. With p
the large model's probabilities and q the draft's at the same place:

- a drafted token x is kept with probability :math:`\min(1, p(x)/q(x))` (eq-speculative-accept);
- the first one that is refused is drawn anew from :math:`r(x) \propto \max(0, p(x) - q(x))` (eq-speculative-residual).

What is written then follows p exactly, whatever q is: :math:`q \min(1, p/q) + (1 - \alpha) r = p`. The draft decides only the
speed: a token is kept with probability :math:`\alpha = \sum_x \min(p, q)`, one minus the total variation distance, and if that
were the same everywhere a round of γ drafted tokens would give :math:`(1 - \alpha^{\gamma+1}) / (1 - \alpha)` of them
(eq-speculative-tokens), the one that the large model adds included.

Departure: one text at a time, as in the paper's algorithm; rows of a batch would be accepted to different lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.language.contract import device_of
from companion.language.generation import choose
from companion.language.processors import Processor, processed
from companion.training import evaluating
from companion.training.random import multinomial, rand
from companion.validate import Count, Range, Share, checked


@dataclass(frozen=True)
class Speculation:
    """What a run of speculative decoding wrote, and how.

    Attributes:
        ids: the prompt and what was written, shape (1, longer).
        drafted: how many tokens the small model proposed.
        kept: how many of them the large model kept.
        rounds: how often the large model was asked.
    """

    ids: Int[Tensor, "1 longer"]
    drafted: int
    kept: int
    rounds: int


@checked
def acceptance(p: Float[Tensor, "*batch vocab"], q: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch"]:
    """The probability that a token drawn from q is kept for p: Σ min(p, q), one minus their total variation distance."""
    return torch.minimum(p, q).sum(-1)


def residual(p: Float[Tensor, "*batch vocab"], q: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch vocab"]:
    """What a refused token is drawn from, normalised (eq-speculative-residual); p itself where p and q are one."""
    surplus = (p - q).clamp(min=0)
    total = surplus.sum(-1, keepdim=True)
    return torch.where(total > 0, surplus / total.clamp(min=torch.finfo(p.dtype).tiny), p)


@checked
def expected_tokens(alpha: Share, lookahead: Annotated[int, Range(0)]) -> float:
    """Tokens that a round gives if each drafted one is kept with probability alpha (eq-speculative-tokens)."""
    return float(sum(alpha**i for i in range(lookahead + 1)))


@checked
def speculate(
    target: nn.Module,
    draft: nn.Module,
    input_ids: Int[Tensor, "1 n"],
    new_tokens: Annotated[int, Range(0)],
    *,
    lookahead: Count = 4,
    processors: Sequence[Processor] = (),
    generator: torch.Generator | None = None,
) -> Speculation:
    """Continue a text as `companion.language.generation.generate` does with the target alone, in fewer of the target's calls.

    Greedy without a generator: then a drafted token is kept if it is the target's own choice.

    Args:
        target: the large `companion.language.contract.LanguageModel`, whose text this is.
        draft: a small one with the same tokens.
        input_ids: the prompt.
        new_tokens: how many to write.
        lookahead: how many tokens are drafted in a round, γ.
        processors: temperature, top-p and the like, applied to both models: the text follows the processed target.
        generator: draws the tokens.

    Raises:
        ValueError: more than one text, models with different tokens, or a text that would outgrow one of their contexts.
    """
    sizes = target.config.vocab_size, draft.config.vocab_size
    if sizes[0] != sizes[1]:
        raise ValueError(f"draft: got {sizes[1]} tokens, wanted the target's {sizes[0]}")
    end = input_ids.shape[1] + new_tokens
    if end > min(target.config.context, draft.config.context):
        raise ValueError(f"new_tokens: got a text of {end} tokens, wanted one that fits into both contexts")
    ids, drafted, kept, rounds = input_ids, 0, 0, 0
    with evaluating(target), evaluating(draft), torch.inference_mode():
        large, small = TextReader(target, processors), TextReader(draft, processors)
        while ids.shape[1] < end:
            ahead = min(lookahead, end - ids.shape[1] - 1)  # the target always adds one
            proposal, q = ids, []
            for _ in range(ahead):
                logits = small(proposal, 1)
                q.append(logits[0].softmax(-1))
                proposal = torch.cat([proposal, choose(logits, generator)[:, None]], 1)
            logits = large(proposal, ahead + 1)  # one call judges all proposed tokens and offers the one after them
            kept_now, token = judge(logits, q, proposal[0, ids.shape[1] :], generator)
            ids = torch.cat([proposal[:, : ids.shape[1] + kept_now], token.view(1, 1)], 1)
            drafted, kept, rounds = drafted + ahead, kept + kept_now, rounds + 1
            large.forget(ids.shape[1] - 1)  # what was refused must not stay in the states
            small.forget(ids.shape[1] - 1)
    with torch.inference_mode(False):  # a copy that autograd can use, wherever this is called
        ids = ids.clone()
    return Speculation(ids, drafted, kept, rounds)


def judge(
    logits: Float[Tensor, "places vocab"],
    q: Sequence[Float[Tensor, "vocab"]],
    proposed: Int[Tensor, "ahead"],
    generator: torch.Generator | None = None,
) -> tuple[int, Int[Tensor, ""]]:
    """How many proposed tokens the target keeps, and the token that it writes after them.

    Args:
        logits: the target's, of each proposed token and of the one after them, so one row more than there are proposals.
        q: the draft's probabilities where each was proposed; not looked at without a generator.
        proposed: the tokens.
        generator: draws what is kept; without one a token is kept if it is the target's likeliest.
    """
    for i, token in enumerate(proposed):
        if generator is None:
            if token != logits[i].argmax():
                return i, logits[i].argmax()
            continue
        p = logits[i].softmax(-1)
        if rand((), generator, p) * q[i][token] >= p[token]:
            return i, multinomial(residual(p, q[i]), 1, generator)[0]
    return len(proposed), choose(logits[-1:], generator)[0]


class TextReader:
    """A model with its state, which reads what it has not yet read of one text, and can be told to forget its end.

    Args:
        model: a `companion.language.contract.LanguageModel` whose state can go back.
        processors: are applied to its logits.
    """

    def __init__(self, model: nn.Module, processors: Sequence[Processor] = ()) -> None:
        self.model, self.processors, self.state = model, processors, model.new_state(1)

    def __call__(self, ids: Int[Tensor, "1 n"], places: int) -> Float[Tensor, "places vocab"]:
        """Processed logits of the token after each of the last ``places`` positions."""
        new = ids[:, self.state.length :].to(device_of(self.model))  # a table that drafts for a GPU may stay on the CPU
        logits = self.model(new, self.state)[:, -places:].to(ids.device)
        first = ids.shape[1] - places + 1
        return torch.cat([processed(logits[:, i], ids[:, : first + i], self.processors) for i in range(places)])

    def forget(self, length: int) -> None:
        """Drop what was read of the text from position ``length`` on."""
        self.state.truncate(min(length, self.state.length))
