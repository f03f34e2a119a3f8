"""The model of Python at the cursor: the shipped model of code, trained further to write a middle between two sides.

In its first training half of the pieces were rearranged, but as a passage of 256 tokens begins anywhere, it seldom held prefix,
suffix and middle of one piece. Here each example is a whole piece, suffix first (the order SPM), and only the middle is asked
for: 400 steps of 16 pieces. Starts from the shipped weights of ``codex``.
"""

import math
from pathlib import Path

import torch
from torch import nn

from companion.code.codex.fim import Cut, cut, pieces
from companion.code.codex.finetuning import NO_TARGET, completion_loss, middles
from companion.data.code import standard_library
from companion.language.tokenizers import ByteLevelBPE
from companion.models import Recipe, codex
from companion.models.codex import tokenizer
from companion.text.llama import Llama
from companion.training import TrainConfig, evaluating, train
from companion.weights import load_weights

SIZE = 320


def build() -> Llama:
    """The model that training starts from: the shipped `companion.models.codex`."""
    return codex.load()[0]


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return load_weights("codex_middle", codex.build()), tokenizer()


def _cuts(split: str, n: int, draw: torch.Generator) -> list[Cut]:
    """n pieces of a split, drawn from all of it, each cut at two random places."""
    found = [
        piece for source in standard_library(split).sources for piece in pieces(source, SIZE) if 80 < len(piece) <= 400
    ]
    chosen = torch.randperm(len(found), generator=draw)[:n].tolist()
    return [cut(found[i], draw) for i in chosen]


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    draw = torch.Generator().manual_seed(seed)
    data = middles(_cuts("train", 40 if smoke else 6400, draw), tokenizer())
    config = TrainConfig(
        steps=4 if smoke else 400, batch_size=16, lr=1e-3, warmup=0.05, final_lr=0.05, weight_decay=0.05,
        precision="auto", seed=seed,
    )  # fmt: skip
    return train(model, completion_loss, data, config, checkpoint=checkpoint, checkpoint_every=100).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Bits a token of 60 middles of the validation modules: of this model, and of the one that it started from."""
    parts = _cuts("valid", 3 if smoke else 60, torch.Generator().manual_seed(1))
    quality = {}
    for name, one in {"this_model": model, "codex": build()}.items():
        nats, tokens = 0.0, 0
        with evaluating(one):
            for part in parts:  # one by one, so that short pieces are not filled up to long ones
                ids, targets = middles([part], tokenizer())
                asked = int((targets != NO_TARGET).sum())
                nats, tokens = nats + float(completion_loss(one, (ids, targets))) * asked, tokens + asked
        quality[f"bits_per_token_of_middles_{name}"] = nats / tokens / math.log(2)
    return quality


RECIPE = Recipe(
    name="codex_middle",
    about="The language model of Python, trained further to fill in the middle with both sides given.",
    data="pieces of the standard library's training modules, PSF-2.0, from Python 3.11.7; starts from the weights of codex",
    build=build,
    train=_train,
    measure=_measure,
)
