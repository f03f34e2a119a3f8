"""A small Codex: a language model of Python of 1.2 million parameters, with fill-in-the-middle.

Trained on the standard library: 2,600 steps of 8 passages of 256 tokens, about two readings. Each training module is read twice
in two arrangements: half of its pieces with the middle moved to the end, cut anew each time. The text is that of the running
Python; the card's numbers were measured with Python 3.11.7, whose modules differ in places from those of another version. A
tokenizer learned on other text would have other numbers; so the tokenizer ships with the weights, in ``codex_tokens``.
"""

import math
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from companion import weights
from companion.code.codex.fim import training_ids
from companion.data.code import more_itertools, standard_library
from companion.language.scoring import mean_nats, next_token_loss, passages
from companion.language.tokenizers import ByteLevelBPE
from companion.models import Recipe
from companion.text.llama import Llama, LlamaConfig
from companion.training import TrainConfig, train

CONTEXT = 256
VOCAB_SIZE = 1024


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes, 764 merges learned on the training modules, the four of `fim`."""
    return ByteLevelBPE.load(Path(weights.__file__).with_name("codex_tokens"))


def build() -> Llama:
    """The model before training: 6 layers of width 128, 4 heads that share keys and values in pairs."""
    return Llama(
        LlamaConfig(vocab_size=VOCAB_SIZE, context=CONTEXT, width=128, layers=6, heads=4, kv_heads=2, hidden=320)
    )


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return weights.load_weights("codex", build()), tokenizer()


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    sources = standard_library("train", limit=6 if smoke else None).sources
    draw = torch.Generator().manual_seed(seed)
    ids = torch.cat([training_ids(sources, tokenizer(), draw) for _ in range(2)])
    config = TrainConfig(
        steps=4 if smoke else 2_600, batch_size=8, lr=3e-3, warmup=0.03, final_lr=0.05, weight_decay=0.05,
        precision="auto", seed=seed,
    )  # fmt: skip
    return train(model, next_token_loss, passages(ids, CONTEXT + 1), config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Bits a character on the first 200,000 characters of the validation modules, and on a package of other authors."""
    texts = {"valid": standard_library("valid").text[:200_000], "more_itertools": more_itertools().text}
    if smoke:
        texts = {name: text[:2_000] for name, text in texts.items()}
    quality = {}
    for name, text in texts.items():
        ids = torch.tensor(tokenizer().encode(text))
        quality[f"bits_per_character_{name}"] = mean_nats(model, ids) * (len(ids) - 1) / len(text) / math.log(2)
    return quality


RECIPE = Recipe(
    name="codex",
    about="A language model of Python that completes code to the right and fills in the middle.",
    data="the standard library's training modules, 6.2 million characters, PSF-2.0, from Python 3.11.7",
    build=build,
    train=_train,
    measure=_measure,
)
