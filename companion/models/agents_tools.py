"""A small language model that can call a search and a calculator, and does not know when to call which.

A GPT of 2 layers reads runs that wander in tables that were invented (`companion.text.agents.wandering`): it learns to
write calls, to copy names and digits, and to answer with what a tool returned.
"""

from pathlib import Path

import torch
from torch import nn

from companion.data.energy_mix import national_grids, national_mixes
from companion.models import Recipe
from companion.text.agents.loop import run_tools
from companion.text.agents.tools import TOKENS, Energy
from companion.text.agents.wandering import CONTEXT, wanderings
from companion.text.gpt import GPT, GPTConfig
from companion.text.reasoning.tasks import answer_loss
from companion.training import TrainConfig, train
from companion.weights import load_weights

WIDTH = 64


def build() -> GPT:
    """The model before training: 2 layers of width 64, 4 heads."""
    sizes = {"width": WIDTH, "layers": 2, "heads": 4, "hidden": 2 * WIDTH}
    return GPT(GPTConfig(len(TOKENS), context=CONTEXT, init_std=WIDTH**-0.5, **sizes))


def load() -> GPT:
    """The trained model, in evaluation mode."""
    return load_weights("agents_tools", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    how = TrainConfig(steps=4 if smoke else 4_000, lr=3e-3, warmup=0.1, final_lr=0.02, weight_decay=0.1, seed=seed)
    return train(model, answer_loss, wanderings, how, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Of drawn runs about the table of the energy mix: how many are right, how many end, calls a run."""
    table, draw = Energy(national_grids(), national_mixes()), torch.Generator().manual_seed(0)
    questions = table.questions(20 if smoke else 1_000, table.countries, draw)
    runs = run_tools(model, questions, table, draw)
    return {
        "right": float(runs.right(questions, table).float().mean()),
        "ends": sum(given is not None for given in runs.given) / len(questions),
        "calls": sum(runs.calls) / len(questions),
    }


RECIPE = Recipe(
    name="agents_tools",
    about="A GPT that can call a search and a calculator, and does not know when to call which.",
    data="generated: questions about invented tables, with runs that wander",
    build=build,
    train=_train,
    measure=_measure,
)
