r"""Beam search: look for the most probable continuation, several at a time.

The score of a continuation y of n tokens (eq-decoding-beam-score), with the length penalty α:

    score(y) = 1/n^α Σ_t log p(y_t | x, y_1 … y_{t-1})

At each step every one of the B beams is continued by every token and the B best continuations go on.
Those that end with the stop token are put aside with their score. With α = 0 short answers win, because each further token
lowers the sum; with α = 1 the score is the mean. If B is at least the number of all continuations, the search is exact.

Sources: Lowerre, "The HARPY speech recognition system", 1976; Graves, arXiv:1211.3711; Wu et al., arXiv:1609.08144, section 7
(whose penalty is ((5 + n) / 6)^α). The search stops early only when no open beam can beat the worst of B finished ones.

Each step reads one token of each beam: the states of the beams that go on are selected along with them. Only where a text
outgrows the model's context are its last tokens read anew, at each step.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Int
from torch import Tensor, nn

from companion.language.contract import precise
from companion.training import evaluating
from companion.validate import Count, Range, checked


@dataclass(frozen=True)
class Hypothesis:
    """A continuation that was found.

    Attributes:
        ids: the prompt and the continuation, with the stop token if it ended with it.
        log_prob: the sum of the log-probabilities of the continuation's tokens.
        score: the log-probability divided by the length to the power of the penalty (eq-decoding-beam-score).
    """

    ids: Int[Tensor, "n"]
    log_prob: float
    score: float


@checked
def beam_search(
    model: nn.Module,
    input_ids: Int[Tensor, "1 n"],
    new_tokens: Count,
    *,
    beams: Count,
    length_penalty: Annotated[float, Range()] = 1.0,
    stop_token: int | None = None,
) -> list[Hypothesis]:
    """The best continuations of a prompt, the best first, at most ``beams`` of them.

    Args:
        model: a `companion.language.contract.LanguageModel`; its mode is restored.
        input_ids: the prompt.
        new_tokens: the most tokens to add.
        beams: how many continuations are followed, B.
        length_penalty: α; above 0 it favours long continuations.
        stop_token: ends a continuation.

    Raises:
        ValueError: sizes out of range, more than one prompt, or an α that is not finite.
    """
    with evaluating(model):
        return _search(model, input_ids, new_tokens, beams, length_penalty, stop_token)


def _search(
    model: nn.Module, input_ids: Tensor, new_tokens: int, beams: int, alpha: float, stop_token: int | None
) -> list[Hypothesis]:
    context = model.config.context
    open_ids, open_scores = input_ids, torch.zeros(1, device=input_ids.device)
    unread, state = open_ids[:, -context:], model.new_state(1)
    finished: list[Hypothesis] = []
    for n in range(1, new_tokens + 1):
        log_p = precise(model(unread, state)[:, -1]).log_softmax(-1)
        vocab = log_p.shape[-1]
        # Twice the beams, because up to half of the best may end here; only the first B of them may finish.
        scores, places = (open_scores[:, None] + log_p).flatten().topk(min(2 * beams, log_p.numel()))
        parents = places // vocab
        ids = torch.cat([open_ids[parents], (places % vocab)[:, None]], dim=1)
        ends = torch.full_like(places, n == new_tokens, dtype=torch.bool)
        if stop_token is not None:
            ends |= ids[:, -1] == stop_token
        for i in range(min(beams, len(ids))):
            if ends[i]:
                finished.append(Hypothesis(ids[i], float(scores[i]), float(scores[i]) / n**alpha))
        finished = sorted(finished, key=lambda found: -found.score)[:beams]
        open_ids, open_scores = ids[~ends][:beams], scores[~ends][:beams]
        if not len(open_ids):
            break
        longest = new_tokens if alpha > 0 else n + 1  # where the best open beam's score would be highest
        if len(finished) == beams and float(open_scores[0]) / longest**alpha <= finished[-1].score:
            break
        if state.length < context:
            unread, state = open_ids[:, -1:], state.select(parents[~ends][:beams])
        else:
            unread, state = open_ids[:, -context:], model.new_state(len(open_ids))
    return finished
