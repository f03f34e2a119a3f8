"""Attacks on a text watermark: what a reader may do to a marked text before the detector sees it.

Each attack takes token ids and returns token ids, and knows neither key nor green lists. The pair (previous token, token) is
what carries the mark, so whoever changes one token disturbs two pairs: of the pairs of a text in which each token was kept
with chance 1 - ε, a share (1 - ε)² is as it was (eq-watermark-survive; `surviving`).

- `substitute`: tokens drawn from a given distribution, at random places. Ruins the text as well.
- `crop`: a passage is quoted.
- `mix`: passages are put between text of another origin.
- `redraw`: the model-based attack. Tokens at random places are written anew by a model without watermark that sees what
  stands before them, from left to right, so that each choice fits its new context. It is what paraphrasing with another
  model does to the mark, in miniature; meaning is not kept, since a model this small has none to keep.

Sources: Kirchenbauer et al., "On the Reliability of Watermarks for Large Language Models", arXiv:2306.04634; Krishna et al.,
"Paraphrasing evades detectors of AI-generated text", arXiv:2303.13408.
"""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from companion.language.contract import precise
from companion.training.random import multinomial, rand, randint
from companion.validate import Finite, Share, check_count, checked


@checked
def surviving(share: Share) -> float:
    """The expected share of pairs of neighbours that an attack on a random ``share`` of the tokens leaves as they were."""
    return (1 - share) ** 2


@checked
def substitute(
    ids: Int[Tensor, "texts n"], share: Share, weights: Finite[Tensor, "vocab"], generator: torch.Generator
) -> Int[Tensor, "texts n"]:
    """Replace each token with chance ``share`` by a draw from ``weights``, which need not sum to one."""
    drawn = multinomial(weights, ids.numel(), generator, replacement=True).view_as(ids)
    return torch.where(_places(ids, share, generator), drawn, ids)


@checked
def crop(ids: Int[Tensor, "texts n"], length: int, generator: torch.Generator) -> Int[Tensor, "texts length"]:
    """A passage of ``length`` tokens from each text, beginning at a random place."""
    n = ids.shape[1]
    check_count("length", length, high=n)
    start = randint(n - length + 1, (len(ids), 1), generator, ids)
    return ids.gather(1, start + torch.arange(length, device=ids.device))


@checked
def splice(
    ids: Int[Tensor, "texts n"], other: Int[Tensor, "texts n"], share: Share, passage: int, generator: torch.Generator
) -> Int[Tensor, "texts n"]:
    """Replace passages of ``passage`` tokens, each with chance ``share``, by what stands there in the other text."""
    n = ids.shape[1]
    check_count("passage", passage, high=n)
    blocks = _places(ids[:, ::passage], share, generator)
    return torch.where(blocks.repeat_interleave(passage, 1)[:, :n], other, ids)


@torch.no_grad()
@checked
def redraw(
    ids: Int[Tensor, "texts n"], share: Share, model: nn.Module, generator: torch.Generator
) -> Int[Tensor, "texts n"]:
    """Write each token anew with chance ``share``, by a model that sees the (already changed) text before it.

    Args:
        ids: texts no longer than the model's context.
        share: the chance of each token after the first.
        model: a `companion.language.contract.LanguageModel` in evaluation mode.
        generator: of places and draws.
    """
    n = ids.shape[1]
    if n > model.config.context:
        raise ValueError(f"ids: got texts of {n} tokens, wanted at most the model's context, {model.config.context}")
    chosen, new = _places(ids, share, generator), ids.clone()
    chosen[:, 0] = False
    state = model.new_state(len(ids))
    for place in range(n - 1):
        logits = precise(model(new[:, place : place + 1], state)[:, -1])
        drawn = multinomial(logits.softmax(-1), 1, generator)[:, 0]
        new[:, place + 1] = torch.where(chosen[:, place + 1], drawn, new[:, place + 1])
    return new


def _places(ids: Tensor, share: float, generator: torch.Generator) -> Tensor:
    return rand(ids.shape, generator, device=ids.device) < share
