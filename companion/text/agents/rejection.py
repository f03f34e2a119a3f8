"""Learning to use tools by rejection sampling: draw runs, keep those whose answer is right, imitate them, and draw again.

    K = {of each question the shortest of its G runs whose answer is right, if one is}
    L = -mean over the model's own tokens of K of log p                                        (eq-agents-rejection)

Nobody shows which call a question needs; a key says whether the answer was right. Zelikman et al., "STaR", 2022,
arXiv:2203.14465. Departures: theirs begins every round again with the first model, draws one run, and hints where it
failed. What the tools returned is read and never learned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from companion.text.agents.loop import run_tools
from companion.text.agents.tools import Question, Table
from companion.text.reasoning.tasks import answer_loss
from companion.training import train
from companion.training.optimization import TrainConfig
from companion.training.random import rand
from companion.validate import Count, checked


@dataclass(frozen=True)
class Round:
    """What the runs of a round were like, before the model learned from them.

    Attributes:
        right: for each question the share of its runs whose answer is right.
        calls: tools called in a run, in the mean.
        kept: runs that the model learned from.
    """

    right: Tensor
    calls: float
    kept: int


Choice = Callable[[Bool[Tensor, "questions samples"], Generator], Bool[Tensor, "questions samples"]]


def the_right(right: Bool[Tensor, "questions samples"], generator: Generator) -> Bool[Tensor, "questions samples"]:
    """Keep the right runs."""
    return right


def as_many(right: Bool[Tensor, "questions samples"], generator: Generator) -> Bool[Tensor, "questions samples"]:
    """Keep as many as are right, drawn from all: the control, which does not look at the answer."""
    order = rand((right.numel(),), generator, device="cpu").argsort()
    return (order < int(right.sum())).view_as(right)


@checked
def rejection_round(
    model: nn.Module,
    questions: Sequence[Question],
    table: Table,
    config: TrainConfig,
    generator: Generator,
    *,
    samples: Count = 6,
    keep: Choice = the_right,
) -> tuple[nn.Module, Round]:
    """One round: the model that has learned, and what its runs were like before (eq-agents-rejection).

    Args:
        model: a `companion.language.contract.LanguageModel` that calls tools; trained in place.
        questions: what is asked.
        table: where a search looks.
        config: how the kept runs are learned.
        generator: draws the runs.
        samples: G, runs for each question.
        keep: which of them may be learned from, told which are right.

    Raises:
        ValueError: not one run was kept.
    """
    asked = [question for question in questions for _ in range(samples)]
    runs = run_tools(model, asked, table, generator)
    right = runs.right(asked, table).view(-1, samples)
    kept = keep(right, generator)
    length = torch.where(kept, runs.own.sum(1).cpu().view(-1, samples), runs.own.shape[1] + 1)
    rows = (torch.arange(len(kept)) * samples + length.argmin(1))[kept.any(1)]
    if not len(rows):
        raise ValueError(f"questions: got no right answer to {len(questions)}, wanted one at least to learn from")
    found = Round(right.float().mean(1), sum(runs.calls) / len(asked), len(rows))
    rows = rows.to(runs.ids.device)
    return train(model, answer_loss, (runs.ids[rows], runs.own[rows]), config).model, found
