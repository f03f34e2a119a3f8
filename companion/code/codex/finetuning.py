"""Fine-tuning a model of code on tasks: from a docstring to the body that does what it says.

A language model of code has read functions, and docstrings above them, but nobody told it that the body must *do* what
the docstring says. Examples do. The loss is that of every language model, taken over the tokens of the solution alone, as
the task's text is given and need not be learned (eq-codex-completion-loss):

    loss = - Σ_{t in solution} log p(x_t | x_1 … x_{t-1}) / Σ_{t in solution} 1

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374, section 4: Codex-S, fine-tuned
on correctly implemented functions, with the loss masked over the prompt. Departures: the examples are generated
(`companion.code.chains`), and their number of steps is known, so that one can ask where success ends.

Prompts are cut *before* the line's end. The tokenizer takes a line's end and the next line's blanks as one token, so a
prompt that ends with a bare line's end is a row of tokens that the model has hardly ever seen.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.code.codex.fim import END, Cut, question
from companion.language.contract import precise
from companion.language.tokenizers import ByteLevelBPE
from companion.training import MaskedMean

NO_TARGET = -100


@runtime_checkable
class Task(Protocol):
    """What is needed of a task: its text up to the function's docstring, and a right completion."""

    @property
    def prompt(self) -> str:
        """The text that is given."""
        ...

    @property
    def solution(self) -> str:
        """A right completion."""
        ...


def given_text(task: Task) -> str:
    """A task's prompt, cut where a token ends: without the line's end after the docstring."""
    return task.prompt.rstrip()


def examples(tasks: Sequence[Task], bpe: ByteLevelBPE) -> tuple[Int[Tensor, "n length"], Int[Tensor, "n length"]]:
    """Tokens and targets, a row for each task: prompt, solution, end token, and the end token again up to the longest.

    ``targets[i, t]`` is the token that must follow ``ids[i, t]``, or `NO_TARGET` where nothing is asked: within the prompt and
    behind the end token.

    Raises:
        ValueError: no tasks.
    """
    if not tasks:
        raise ValueError("tasks: got none, wanted at least one")
    rows = []
    for task in tasks:
        given = given_text(task)
        rows.append((bpe.encode(given), bpe.encode(task.prompt[len(given) :] + task.solution)))
    return _padded(rows, bpe.special[END])


def middles(parts: Sequence[Cut], bpe: ByteLevelBPE) -> tuple[Int[Tensor, "n length"], Int[Tensor, "n length"]]:
    """The same for texts that were cut in three: given are both sides, wanted are the middle and the end token.

    Raises:
        ValueError: no texts.
    """
    if not parts:
        raise ValueError("parts: got none, wanted at least one")
    rows = [(question(bpe, one.prefix, one.suffix), bpe.encode(one.middle)) for one in parts]
    return _padded(rows, bpe.special[END])


def _padded(rows: Sequence[tuple[list[int], list[int]]], end: int) -> tuple[Tensor, Tensor]:
    rows = [(given, [*wanted, end]) for given, wanted in rows]
    longest = max(len(given) + len(wanted) for given, wanted in rows)
    ids = torch.full((len(rows), longest), end)
    targets = torch.full((len(rows), longest), NO_TARGET)
    for row, (given, wanted) in enumerate(rows):
        ids[row, : len(given) + len(wanted)] = torch.tensor(given + wanted)
        targets[row, len(given) - 1 : len(given) + len(wanted) - 1] = torch.tensor(wanted)
    return ids, targets


def completion_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator | None = None
) -> MaskedMean:
    """Mean negative log-likelihood of the solutions' tokens, in nats (eq-codex-completion-loss), as `train` calls it.

    Args:
        model: a `companion.language.contract.LanguageModel`.
        batch: rows of `examples`: tokens and targets; columns at the end where no row asks anything are not computed.
        generator: not needed: the objective draws nothing.
    """
    ids, targets = batch
    asked = targets != NO_TARGET
    used = 1 + max(asked.any(0).nonzero()[:, 0].tolist(), default=0)
    logits = precise(model(ids[:, :used]))
    total = F.cross_entropy(logits.flatten(0, 1), targets[:, :used].flatten(), ignore_index=NO_TARGET, reduction="sum")
    return MaskedMean(total, asked.sum())
