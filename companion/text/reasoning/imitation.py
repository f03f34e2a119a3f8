"""Learning from one's own right answers: keep them, and imitate them.

A model answers; what is right is kept, whatever it looks like, and the model learns to write it. If an answer that
thinks is always right, and one that does not is right half the time, then of the kept ones a share

    p' = p / (p + (1 - p)/2),   so   p'/(1 - p') = 2 p/(1 - p)                                  (eq-reasoning-odds)

thinks: each round doubles the odds of thinking. Zelikman et al., "STaR: Bootstrapping Reasoning With Reasoning",
2022, arXiv:2203.14465. Departures: STaR shows the model the answer where it fails, and begins each round again with
the first model; here nothing is shown, and a round goes on with the last one's model.
"""

from dataclasses import dataclass

from torch import Generator, nn

from companion.language.contract import device_of
from companion.text.reasoning.tasks import Task, answer_loss, sampled
from companion.training import train
from companion.training.optimization import TrainConfig
from companion.validate import Count, checked


@dataclass(frozen=True)
class Round:
    """What the answers of a round were like, before the model learned from them.

    Attributes:
        right: the share that was right, and kept.
        thinking: the share that thinks.
        thinking_kept: the share of the kept ones that thinks.
    """

    right: float
    thinking: float
    thinking_kept: float


@checked
def imitate(
    model: nn.Module, task: Task, questions: Count, config: TrainConfig, generator: Generator
) -> tuple[nn.Module, Round]:
    """One round: the model that has learned from its right answers, and what all of its answers were like.

    Args:
        model: a `companion.language.contract.LanguageModel`; trained in place.
        task: whose questions are asked, each once.
        questions: how many.
        config: how the right answers are learned.
        generator: draws questions and answers.

    Raises:
        ValueError: not one answer is right.
    """
    ids = sampled(model, task, task.questions(questions, generator).to(device_of(model)), generator)
    answers = task.judge(ids)
    kept = answers.right
    if not kept.any():
        raise ValueError(f"questions: got no right answer to {questions}, wanted one at least to learn from")
    found = Round(*(float(x.float().mean()) for x in (kept, answers.thinks, answers.thinks[kept])))
    return train(model, answer_loss, (ids[kept], answers.mask[kept]), config).model, found
