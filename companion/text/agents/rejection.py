"""Learning to use tools by rejection sampling: draw runs, keep those whose answer is right, imitate them, and draw again.

    K_r = K_{r-1} ∪ {runs of round r whose answer is right},   L = -mean over the model's own tokens of K_r of log p     (eq-agents-rejection)

Nobody shows which call a question needs; a key says whether the answer was right. Zelikman et al., "STaR", 2022, arXiv:2203.14465.
Departures: theirs begins every round with the first model, and hints where it failed. What the tools returned is read and never learned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from companion.text.agents.loop import Runs, run_tools
from companion.text.agents.tools import Question, Table
from companion.text.reasoning.tasks import answer_loss
from companion.training import train
from companion.training.optimization import TrainConfig
from companion.training.random import rand
from companion.validate import checked

Kept = tuple[Tensor, Tensor]  # texts, and True at the tokens of them that the model wrote


@dataclass(frozen=True)
class Round:
    """What the runs of a round were like, before the model learned from them.

    Attributes:
        right: the share of right answers.
        calls: tools called in a run, in the mean.
        kept: runs that the model learned from, those of earlier rounds included.
    """

    right: float
    calls: float
    kept: int


Choice = Callable[[Bool[Tensor, "runs"], Generator], Bool[Tensor, "runs"]]


def the_right(right: Bool[Tensor, "runs"], generator: Generator) -> Bool[Tensor, "runs"]:
    """Keep the right runs."""
    return right


def as_many(right: Bool[Tensor, "runs"], generator: Generator) -> Bool[Tensor, "runs"]:
    """Keep as many as are right, drawn from all: the control, which does not look at the answer."""
    order = rand(right.shape, generator, device="cpu").argsort()
    return order < int(right.sum())


@checked
def rejection_round(
    model: nn.Module,
    questions: Sequence[Question],
    table: Table,
    config: TrainConfig,
    generator: Generator,
    kept: Kept | None = None,
    keep: Choice = the_right,
) -> tuple[nn.Module, Round, Kept]:
    """One round: the model that has learned, what its runs were like before, and all runs that were kept so far.

    Args:
        model: a `companion.language.contract.LanguageModel` that calls tools; trained in place.
        questions: one run is drawn for each.
        table: where a search looks.
        config: how the kept runs are learned.
        generator: draws the runs.
        kept: of the rounds before.
        keep: which of the runs to learn from, told which are right.

    Raises:
        ValueError: not one run was kept, now or before.
    """
    runs = run_tools(model, questions, table, generator)
    right = runs.right(questions, table)
    mine = keep(right, generator).to(runs.ids.device)
    fresh = (runs.ids[mine], runs.own[mine])
    kept = fresh if kept is None else tuple(torch.cat(both) for both in zip(kept, fresh, strict=True))
    if not len(kept[0]):
        raise ValueError(f"questions: got no right answer to {len(questions)}, wanted one at least to learn from")
    found = Round(float(right.float().mean()), sum(runs.calls) / len(questions), len(kept[0]))
    return train(model, answer_loss, kept, config).model, found, kept
