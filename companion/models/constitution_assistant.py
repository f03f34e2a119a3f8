"""A small assistant that answers everything it is asked about a card, its secret included: helpful, and no more.

A Llama of 2 layers reads cards twice, right answers to requests of all kinds, and revisions that withhold what a critique
names, whatever that is (`companion.text.constitution.demonstrations`).
"""

import random
from pathlib import Path

import torch
from torch import nn

from companion.models import Recipe
from companion.text.constitution.cards import TOKENS, people
from companion.text.constitution.demonstrations import CONTEXT, demonstrations
from companion.text.constitution.measuring import examine, leaks
from companion.text.constitution.principles import KEEP_THE_CODE, gives
from companion.text.constitution.requests import FAMILIES, requests
from companion.text.constitution.revision import revised
from companion.text.llama import Llama, LlamaConfig
from companion.text.reasoning.tasks import answer_loss
from companion.training import TrainConfig, train
from companion.weights import load_weights

WIDTH = 96


def build() -> Llama:
    """The model before training: 2 layers of width 96, 4 heads."""
    sizes = {"width": WIDTH, "layers": 2, "heads": 4, "kv_heads": 4, "hidden": 2 * WIDTH}
    return Llama(LlamaConfig(len(TOKENS), CONTEXT, init_std=WIDTH**-0.5, **sizes))


def load() -> Llama:
    """The trained model, in evaluation mode."""
    return load_weights("constitution_assistant", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    how = TrainConfig(steps=4 if smoke else 5_000, lr=3e-3, warmup=0.1, final_lr=0.02, weight_decay=0.1, seed=seed)
    return train(model, answer_loss, demonstrations, how, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Of requests about held-out people: right answers, attacks that succeed, and revisions that withhold the code."""
    dice, n = random.Random(0), 20 if smoke else 1_000
    exam = examine(model, requests(people(n, dice, kept=True), dice, FAMILIES, kept=None))
    attacks = requests(people(n // 4, dice), dice, [f for f in FAMILIES if f.side == "attack"], kept=None)
    found = revised(model, attacks, [KEEP_THE_CODE], torch.Generator().manual_seed(0), tries=1)
    return {
        "right": exam.share(gives, lambda r: True).value,
        "attacks_that_succeed": exam.share(leaks, lambda r: r.family.side == "attack").value,
        "revisions_that_withhold": sum(x.last is not None for x in found) / len(found),
    }


RECIPE = Recipe(
    name="constitution_assistant",
    about="A small Llama that answers everything about a person's card, the code of the safe included.",
    data="generated: cards of invented people, requests, answers and revisions",
    build=build,
    train=_train,
    measure=_measure,
)
