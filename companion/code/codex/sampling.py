"""Many programs for many tasks, each with how sure the model was of it.

What a model writes is drawn several times, each draw is cut where the function ends, and beside it stands the mean
log-probability of its tokens (eq-codex-log-prob),

    s(x) = 1/T Σ_t log p(x_t | prompt, x_1 … x_{t-1})

by which one can choose a program without running any: the mean, not the sum, as the sum would prefer short programs. p is the
model's own distribution, whatever the temperature of the draw.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374, section 3.3. Departure: the mean is
over all tokens up to the end token, also those that are cut off behind the function.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from companion.code.codex.completion import first_block, write
from companion.code.codex.fim import END
from companion.language.contract import device_of, left_padded
from companion.language.processors import Temperature
from companion.language.scoring import token_log_probs
from companion.language.tokenizers import ByteLevelBPE
from companion.training import evaluating
from companion.validate import Count, checked

ROWS, PROMPTS = 128, 48  # written at a time, and of how many prompts at most: long ones take much memory
SCORED = 32  # read at a time: the logits of all their tokens are kept


@dataclass(frozen=True)
class Program:
    """One draw.

    Attributes:
        text: the function's body, to be put behind the prompt.
        score: the mean log-probability of what was written (eq-codex-log-prob), in nats; higher is surer.
    """

    text: str
    score: float


@checked
def draw_programs(
    model: nn.Module,
    bpe: ByteLevelBPE,
    prompts: Sequence[str],
    samples: Count,
    *,
    generator: torch.Generator | None,
    temperature: float = 1.0,
    new_tokens: int = 72,
) -> list[list[Program]]:
    """For each prompt, ``samples`` programs, drawn at a temperature; the likeliest tokens if there is no generator.

    Prompts of about the same number of tokens are written together, padded in front.
    """
    room, together = model.config.context - new_tokens, max(1, min(PROMPTS, ROWS // samples))
    given = [bpe.encode(prompt)[-room:] if room > 0 else [] for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda number: len(given[number]))
    drawn: list[list[Program]] = [[] for _ in prompts]
    for first in range(0, len(order), together):
        part = order[first : first + together]
        rows = [given[number] for number in part]
        written = write(model, bpe, rows, new_tokens, (Temperature(temperature),), generator, samples=samples)
        owners = [number for number in part for _ in range(samples)]
        scores = mean_log_probs(model, bpe, [given[number] for number in owners], written, new_tokens)
        for number, ids, score in zip(owners, written, scores, strict=True):
            drawn[number].append(Program(first_block(bpe.decode(ids)), score))
    return drawn


def mean_log_probs(
    model: nn.Module,
    bpe: ByteLevelBPE,
    prompts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    new_tokens: int,
) -> list[float]:
    """s(x) of each row (eq-codex-log-prob): prompts, and what was written after each.

    The end token counts, if the row has one: it does if it is shorter than ``new_tokens``.
    """
    end = bpe.special[END]
    rows = [[*ids, end] if len(ids) < new_tokens else list(ids) for ids in written]
    found = []
    for first in range(0, len(rows), SCORED):
        part = rows[first : first + SCORED]
        texts = [[*given, *row] for given, row in zip(prompts[first : first + SCORED], part, strict=True)]
        ids, real = (side.to(device_of(model)) for side in left_padded(texts))
        with evaluating(model):
            each = token_log_probs(model, ids, real).cpu().double()
        found += [float(values[-len(row) :].mean()) for values, row in zip(each, part, strict=True)]
    return found


def surest(programs: Sequence[Program]) -> int:
    """The number of the program that the model was surest of; the first of equals."""
    if not programs:
        raise ValueError("programs: got none, wanted at least one")
    return max(range(len(programs)), key=lambda i: programs[i].score)
