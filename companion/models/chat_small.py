"""A small language model of small talk: 1.0 million parameters, which knows no roles yet.

Trained on the text of 3,214 conversations between two people, in lower case: a turn a line, an empty line after each
conversation. The lesson on chat teaches it to answer. The tokenizer was learned on the same text and ships with the weights, in
``chat_tokens``; it has the three tokens of the template (`companion.text.chat.template`), which this training never shows.
"""

from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from companion import weights
from companion.data.chats import Chat, chats
from companion.language.scoring import mean_nats, next_token_loss, passages
from companion.language.tokenizers import ByteLevelBPE
from companion.models import Recipe
from companion.text.chat.template import plain
from companion.text.llama import Llama, LlamaConfig
from companion.training import TrainConfig, train

CONTEXT = 128
VOCAB_SIZE = 2048


def running_text(talks: tuple[Chat, ...]) -> str:
    """Conversations as one text, a turn a line, an empty line after each conversation."""
    return "\n\n".join("\n".join(plain(turn) for turn in chat.turns) for chat in talks) + "\n"


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes, 1,789 merges, the three of the template."""
    return ByteLevelBPE.load(Path(weights.__file__).with_name("chat_tokens"))


def build() -> Llama:
    """The model before training: 4 layers of width 128, 4 heads that share keys and values in pairs."""
    return Llama(
        LlamaConfig(VOCAB_SIZE, CONTEXT, width=128, layers=4, heads=4, kv_heads=2, hidden=320, init_std=128**-0.5)
    )


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return weights.load_weights("chat_small", build()), tokenizer()


def _ids(split: str, limit: int | None = None) -> torch.Tensor:
    return torch.tensor(tokenizer().encode(running_text(chats(split, limit=limit).chats)))


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    config = TrainConfig(
        steps=4 if smoke else 2_400, batch_size=12, lr=4e-3, warmup=0.03, final_lr=0.02, weight_decay=0.1,
        precision="auto", seed=seed,
    )  # fmt: skip
    ids = _ids("train", 20 if smoke else None)
    return train(model, next_token_loss, passages(ids, CONTEXT + 1), config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Nats a token on 100 conversations that were held out."""
    return {"nats_a_token_held_out": mean_nats(model, _ids("valid", 5 if smoke else 100))}


RECIPE = Recipe(
    name="chat_small",
    about="A language model of small talk in lower case, without roles.",
    data="3,214 conversations between two, from chitchat-dataset, MIT",
    build=build,
    train=_train,
    measure=_measure,
)
