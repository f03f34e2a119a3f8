"""The second stage: the constitution compares two answers of the model, and the model learns from the comparisons.

Of some answers to a request the best and the worst by a score make a pair; if all are as good there is none. What follows
is direct preference optimisation, `companion.text.chat.dpo` (eq-chat-dpo), with an anchor:

    L = L_DPO - α mean log p(token of the preferred answer)                                   (eq-constitution-anchor)

which keeps the preferred answers likely while the others fall; Llama 3 has such a term with α = 0.2 (Grattafiori et al., 2024,
arXiv:2407.21783, section 4.1.4). Departure: Bai et al., 2022, arXiv:2212.08073, section 4, train a preference model on the
judgements of a language model, and then by reinforcement; here a rule and an answer key are the judges, and there is no
preference model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from companion.text.chat.dpo import Pairs, dpo_loss, text_log_probs
from companion.text.constitution.principles import Score
from companion.text.constitution.requests import Request
from companion.text.constitution.revision import lessons
from companion.training.modes import evaluating
from companion.validate import Positive, Range, checked


@dataclass(frozen=True)
class Compared:
    """Two answers to a request, compared.

    Attributes:
        request: what was asked.
        better: the preferred answer.
        worse: the other one.
    """

    request: Request
    better: str
    worse: str


def compared(asked: Sequence[Request], drawn: Sequence[Sequence[str]], score: Score) -> list[Compared]:
    """Of the answers to each request the best with the worst, where one is better.

    Args:
        asked: the requests.
        drawn: some answers to each, as `companion.text.constitution.revision.answers_to` draws them.
        score: of an answer to a request.

    Raises:
        ValueError: not as many groups of answers as requests.
    """
    if len(asked) != len(drawn):
        raise ValueError(f"drawn: got answers to {len(drawn)} requests, wanted {len(asked)}, some to each")
    found = []
    for request, answers in zip(asked, drawn, strict=True):
        pair = best_and_worst(answers, [score(request, answer) for answer in answers])
        if pair:
            found.append(Compared(request, *pair))
    return found


def best_and_worst(answers: Sequence[str], scores: Sequence[tuple[float, ...]]) -> tuple[str, ...]:
    """The first of the best answers and the first of the worst; an empty tuple if all are as good.

    Raises:
        ValueError: no answer, or not a score for each.
    """
    if not answers or len(answers) != len(scores):
        raise ValueError(
            f"scores: got {len(scores)} for {len(answers)} answers, wanted one for each of one answer or more"
        )
    best, worst = max(scores), min(scores)
    return (answers[scores.index(best)], answers[scores.index(worst)]) if best > worst else ()


def by_coin(found: Sequence[Compared], generator: Generator) -> list[Compared]:
    """The control: the same pairs, and a coin says of each which answer is the better one."""
    turned = (torch.rand(len(found), generator=generator) < 0.5).tolist()
    return [replace(p, better=p.worse, worse=p.better) if t else p for p, t in zip(found, turned, strict=True)]


def preferences(found: Sequence[Compared]) -> Pairs:
    """Comparisons as data for `companion.text.chat.dpo.dpo_objective`; only the answers' tokens count."""
    return (
        *lessons([(pair.request, pair.better) for pair in found]),
        *lessons([(pair.request, pair.worse) for pair in found]),
    )


@checked
def anchored_objective(
    reference: nn.Module, beta: Positive, anchor: Annotated[float, Range(0)]
) -> Callable[[nn.Module, Pairs, Generator | None], Float[Tensor, ""]]:
    """The objective of the second stage (eq-constitution-anchor), as `companion.training.train` calls it.

    Args:
        reference: where the training starts; it stays.
        beta: β of direct preference optimisation.
        anchor: α; 0 is direct preference optimisation alone.
    """

    def loss(model: nn.Module, batch: Pairs, generator: Generator | None = None) -> Tensor:
        better, better_mask, worse, worse_mask = batch
        ids, mask = torch.cat([better, worse]), torch.cat([better_mask, worse_mask])
        with evaluating(reference):
            old = text_log_probs(reference, ids, mask).chunk(2)
        preferred, rejected = text_log_probs(model, ids, mask).chunk(2)
        likely = preferred.sum() / better_mask.sum()
        return dpo_loss(preferred, rejected, *old, beta).mean() - anchor * likely

    return loss
