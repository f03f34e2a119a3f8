"""The shipped wanderer: it calls tools, copies and ends, and seldom answers rightly."""

import torch

from companion.data.energy_mix import national_grids, national_mixes
from companion.models.agents_tools import build, load
from companion.text.agents.loop import run_tools
from companion.text.agents.tools import ERROR, TOKENS, Energy
from companion.text.agents.wandering import CONTEXT
from companion.weights import card
from tests.conftest import gen


def test_its_sizes_are_the_runs() -> None:
    model = build()
    assert (model.config.vocab_size, model.config.context) == (len(TOKENS), CONTEXT)
    assert sum(p.numel() for p in model.parameters()) == card("agents_tools").parameters == 74_304


def test_it_calls_and_copies_and_seldom_answers_rightly() -> None:
    """In a real table, of which it has read nothing: most searches find an entry, so names are copied."""
    table = Energy(national_grids(), national_mixes())
    questions = table.questions(200, table.countries, gen(1))
    runs = run_tools(load(), questions, table, gen(2))
    right = runs.right(questions, table)
    two = torch.tensor([bool(question.sign) for question in questions])
    assert 0.1 < float(right.float().mean()) < 0.3
    assert float(right[~two].float().mean()) > 0.35 > 0.15 > float(right[two].float().mean())
    assert sum(given is not None for given in runs.given) > 190
    assert sum(runs.calls) > 1.5 * len(questions)
    assert float((runs.ids == ERROR).any(1).float().mean()) < 0.3
