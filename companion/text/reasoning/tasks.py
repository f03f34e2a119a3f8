"""What a model reasons about here: a question that a program can check, and demonstrations some of which think.

A task draws questions, answers them as its demonstrators do, and judges what a model wrote. The last word before
the end sign is the answer; what stands before it is thought, and nobody looks at it. So an answer is right or not
by a key, without a teacher: the setting of Tsilivis, Malach, Ullrich & Kempe, "How Reinforcement Learning After
Next-Token Prediction Facilitates Learning", 2025, arXiv:2510.11495, and of the rewards of DeepSeek-R1, 2025,
arXiv:2501.12948, section 2.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor, nn

from companion.language.generation import generate
from companion.language.processors import Processor
from companion.language.scoring import token_log_probs
from companion.training.losses import MaskedMean


@dataclass(frozen=True)
class Answers:
    """What was written after questions.

    Attributes:
        given: the answer, a number; -1 where there is none, or no end sign.
        right: whether it is the right one.
        length: how many tokens were written, the end sign apart.
        thinks: whether the answer has the form of one that thinks.
        mask: True at what was written, the end sign included.
    """

    given: Int[Tensor, "rows"]
    right: Bool[Tensor, "rows"]
    length: Int[Tensor, "rows"]
    thinks: Bool[Tensor, "rows"]
    mask: Bool[Tensor, "rows tokens"]


@runtime_checkable
class Task(Protocol):
    """A kind of question.

    Attributes:
        asked: tokens of a question.
        context: tokens of the longest question with its answer.
        vocab_size: how many tokens there are.
        end: the token that ends an answer.
    """

    asked: int
    context: int
    vocab_size: int
    end: int

    def questions(self, n: int, generator: Generator) -> Int[Tensor, "n asked"]:
        """n questions."""
        ...

    def demonstrations(
        self, n: int, generator: Generator
    ) -> tuple[Int[Tensor, "n context"], Bool[Tensor, "n context"]]:
        """n answered questions, filled up with end signs, and True at the answers' tokens: data for `answer_loss`."""
        ...

    def judge(self, ids: Int[Tensor, "rows tokens"]) -> Answers:
        """Read what was written after questions."""
        ...


def answer_loss(
    model: nn.Module, batch: tuple[Int[Tensor, "rows n"], Bool[Tensor, "rows n"]], generator: Generator | None = None
) -> MaskedMean:
    """Mean negative log-likelihood of the answers' tokens, in nats, as `companion.training.train` calls it.

    Args:
        model: a `companion.language.contract.LanguageModel`.
        batch: texts, and True at the tokens that are to be learned.
        generator: not needed: the objective draws nothing.
    """
    ids, mask = batch
    log_p = token_log_probs(model, ids)
    return MaskedMean(-(log_p * mask[:, 1:]).sum(), mask[:, 1:].sum())


def sampled(
    model: nn.Module,
    task: Task,
    questions: Int[Tensor, "n asked"],
    generator: Generator | None,
    samples: int = 1,
    processors: Sequence[Processor] = (),
) -> Int[Tensor, "rows context"]:
    """Answer each question so many times, side by side: drawn, or without a generator the likeliest token each time."""
    ids = generate(
        model,
        questions,
        task.context - questions.shape[1],
        processors=processors,
        samples=samples,
        generator=generator,
        stop_token=task.end,
    )
    return nn.functional.pad(ids, (0, task.context - ids.shape[1]), value=task.end)


def written(ids: Int[Tensor, "rows tokens"], asked: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of texts: how many tokens stand before the first end sign, whether there is one, and where the answers' tokens are."""
    length = (ids[:, asked:] != end).cumprod(1).sum(1)
    place = torch.arange(ids.shape[1], device=ids.device) - asked
    return length, length < ids.shape[1] - asked, (place >= 0) & (place <= length[:, None])
