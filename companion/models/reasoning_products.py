"""A small language model that multiplies numbers of two digits: at once, or by way of two smaller products.

A GPT of 2 layers and 226,944 parameters reads 224,000 demonstrations, drawn from 7,100 questions; a quarter of them
think. Nobody tells it when to.
"""

from pathlib import Path

import torch
from torch import nn

from companion.models import Recipe
from companion.text.gpt import GPT, GPTConfig
from companion.text.reasoning.products import THINKS, Products
from companion.text.reasoning.tasks import answer_loss, sampled
from companion.training import TrainConfig, train
from companion.weights import load_weights

WIDTH = 96
TASK = Products(thinking=0.25)


def build() -> GPT:
    """The model before training: 2 layers of width 96, 4 heads."""
    return GPT(GPTConfig(TASK.vocab_size, context=TASK.context, width=WIDTH, layers=2, heads=4, init_std=WIDTH**-0.5))


def load() -> GPT:
    """The trained model, in evaluation mode."""
    return load_weights("reasoning_products", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    how = TrainConfig(steps=4 if smoke else 3_500, lr=3e-3, warmup=0.1, final_lr=0.02, weight_decay=0.1, seed=seed)
    return train(model, answer_loss, TASK.demonstrations, how, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Held-out questions: the share of likeliest answers that are right, the same where it must think; how often it thinks."""
    task = Products(held_out=True)
    questions = task.all_questions()[: 20 if smoke else None]
    told = nn.functional.pad(questions, (0, 1), value=THINKS)
    with torch.no_grad():
        thinks = model(questions)[:, -1].softmax(-1)[:, THINKS].mean()
    return {
        "right_held_out": float(task.judge(sampled(model, task, questions, None)).right.float().mean()),
        "right_held_out_thinking": float(task.judge(sampled(model, task, told, None)).right.float().mean()),
        "thinks": float(thinks),
    }


RECIPE = Recipe(
    name="reasoning_products",
    about="A GPT that multiplies two numbers of two digits, and thinks before one answer in four.",
    data="generated: 7,100 of the 8,100 products of two numbers of two digits; 1,000 are held out",
    build=build,
    train=_train,
    measure=_measure,
)
