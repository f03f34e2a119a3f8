"""A small assistant: the language model of small talk, taught to answer in a chat template.

The training goes on from the shipped weights of `companion.models.chat_small`: 1,800 steps of 24 exchanges of two or four short
turns, about three readings, with the loss on the assistant's turns alone.
"""

from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from companion.data.chats import chats
from companion.language.tokenizers import ByteLevelBPE
from companion.models import Recipe, chat_small
from companion.text.chat.demonstrations import demonstrations, exchanges, frequent_words
from companion.text.llama import Llama
from companion.text.reasoning.tasks import answer_loss
from companion.training import TrainConfig, train
from companion.weights import load_weights

LENGTH = 40
WORDS = 2_000


def build() -> Llama:
    """The model before this training: the small language model, of which this is a continuation."""
    return chat_small.load()[0].train()


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return load_weights("chat_assistant", chat_small.build()), chat_small.tokenizer()


def runs(split: str, limit: int | None = None, turns: tuple[int, ...] = (2, 4)) -> list[tuple[str, ...]]:
    """Exchanges of so many turns each, without rare words, from a split or its first conversations."""
    return [run for n in turns for run in exchanges(chats(split, limit=limit).chats, known_words(), turns=n)]


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """The words that the training conversations use most; demonstrations have no others."""
    return frequent_words(chats("train").chats, WORDS)


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    config = TrainConfig(
        steps=4 if smoke else 1_800, batch_size=24, lr=2e-3, warmup=0.05, final_lr=0.02, weight_decay=0.05, seed=seed
    )
    data = demonstrations(runs("train", 40 if smoke else None), chat_small.tokenizer(), LENGTH)
    return train(model, answer_loss, data, config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Nats a token of the assistant's, on the first 400 exchanges that were held out."""
    data = demonstrations(runs("valid", 20 if smoke else None)[:400], chat_small.tokenizer(), LENGTH)
    with torch.no_grad():
        return {"nats_a_token_held_out": float(answer_loss(model, data))}


RECIPE = Recipe(
    name="chat_assistant",
    about="A small language model of small talk that answers, in a chat template.",
    data="exchanges of short turns from 3,214 conversations between two, from chitchat-dataset, MIT",
    build=build,
    train=_train,
    measure=_measure,
)
