"""The loop around a model that calls tools: it stops the writing at each call, runs it, and writes the result down.

    write until a call is closed → run it → put its result behind it → go on, until the model ends or the tokens are used up

Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models", 2022, arXiv:2210.03629; Schick et al.,
"Toolformer", 2023, arXiv:2302.04761. What the tools have written is kept apart from what the model has (`Runs.own`):
a model learns its own tokens, and only what it says itself is its answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor, nn

from companion.language.contract import device_of
from companion.language.generation import BatchReader, choose
from companion.text.agents.tools import ASKED, CALC, CLOSE, END, RETURNED, SEARCH, Question, Table, answer, call, said
from companion.training import evaluating
from companion.validate import Count, checked


@dataclass(frozen=True)
class Runs:
    """What was written after questions.

    Attributes:
        ids: questions and runs, filled up with end signs.
        own: True at what the model has written, its end sign included.
        given: the answer of each run, or None.
        calls: how many tools it called.
    """

    ids: Int[Tensor, "rows tokens"]
    own: Bool[Tensor, "rows tokens"]
    given: list[int | None]
    calls: list[int]

    def right(self, questions: Sequence[Question], table: Table) -> Bool[Tensor, "rows"]:
        """Whether each answer is the table's."""
        pairs = zip(self.given, questions, strict=True)
        return torch.tensor([given is not None and given == answer(question, table) for given, question in pairs])


Tool = Callable[[Sequence[int]], list[int]]


@checked
def run_tools(
    model: nn.Module,
    questions: Sequence[Question],
    table: Table,
    generator: Generator | None = None,
    *,
    new_tokens: Count = 50,
    tool: Callable[[Sequence[int], Table], list[int]] = call,
) -> Runs:
    """Let a model answer questions with tools; its mode is restored.

    Args:
        model: a `companion.language.contract.LanguageModel` of `companion.text.agents.tools.TOKENS`.
        questions: one run is written for each.
        table: where a search looks.
        generator: draws the tokens; the likeliest each time without one.
        new_tokens: the stop rule: the most tokens of a run, the tools' included.
        tool: what a call returns.
    """
    device = device_of(model)
    ids = torch.full((len(questions), ASKED + new_tokens), END, device=device)
    ids[:, :ASKED] = torch.tensor([question.tokens() for question in questions], device=device)
    own = torch.zeros_like(ids, dtype=torch.bool)
    waiting: list[list[int]] = [[] for _ in questions]
    opened, calls, done = [0] * len(questions), [0] * len(questions), [False] * len(questions)
    starts = torch.zeros(len(questions), dtype=torch.int64, device=device)
    with evaluating(model), torch.inference_mode():
        reader = BatchReader(model, ids, starts, 1)
        for end in range(ASKED, ids.shape[1]):
            chosen = choose(reader.logits_at(end), generator).tolist()
            mine = [False] * len(chosen)
            for row, token in enumerate(chosen):
                if done[row]:
                    chosen[row] = END
                    continue
                if waiting[row]:
                    chosen[row] = waiting[row].pop(0)
                    continue
                mine[row] = True
                if token in (SEARCH, CALC):
                    opened[row] = end
                elif token == CLOSE and opened[row]:
                    asked = [*ids[row, opened[row] : end].tolist(), CLOSE]
                    waiting[row], opened[row] = [*tool(asked, table), RETURNED], 0
                    calls[row] += 1
                done[row] = token == END
            ids[:, end], own[:, end] = (torch.tensor(column, device=device) for column in (chosen, mine))
            if all(done):
                break
    given = [said(row[mine].tolist()) for row, mine in zip(ids, own, strict=True)]
    return Runs(ids.clone(), own.clone(), given, calls)
