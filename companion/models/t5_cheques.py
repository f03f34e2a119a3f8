"""Two tiny T5s, pre-trained by span corruption on cheques: digits and words of one number, or of two unrelated ones.

Both start from the same weights and read equally much of equally long lines with the same words and digits
(`companion.text.t5.cheques`). Neither has seen a task. Their tokens are those of `companion.models.t5_tasks`.
"""

from pathlib import Path

import torch
from torch import nn

from companion.models import Recipe
from companion.models.t5_tasks import VOCAB_SIZE, tokenizer
from companion.text.t5.cheques import SpanBatches, cheque_texts
from companion.text.t5.model import T5, T5Config
from companion.text.t5.tasks import PAD_NAME
from companion.text.t5.text_to_text import target_loss
from companion.training import TrainConfig, train
from companion.weights import load_weights

TEXTS = ("matched", "dealt_out")
SHARE = 0.3  # of the tokens that are cut: more than T5's, as a line has only about a dozen


def untrained() -> T5:
    """A T5 of version 1.1 with one layer of width 48 on either side, before it has read anything."""
    return T5(
        T5Config(
            vocab_size=VOCAB_SIZE, width=48, layers=1, heads=4, head_width=12, hidden=96, gated=True, tied=False,
            max_distance=64, pad_token=tokenizer().special[PAD_NAME],
        )
    )  # fmt: skip


def build() -> nn.ModuleDict:
    """Both models before training; they have the same weights."""
    first, second = untrained(), untrained()
    second.load_state_dict(first.state_dict())
    return nn.ModuleDict(dict(zip(TEXTS, (first, second), strict=True)))


def load() -> nn.ModuleDict:
    """The two pre-trained models, by the name of their text, in evaluation mode."""
    return load_weights("t5_cheques", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    how = TrainConfig(steps=4 if smoke else 900, lr=4e-3, warmup=0.1, final_lr=0.1, seed=seed)
    for name in TEXTS:
        dealer = torch.Generator().manual_seed(seed)
        texts = cheque_texts("train", matched=name == "matched", generator=dealer, limit=40 if smoke else None)
        own = checkpoint.with_name(f"{checkpoint.name}.{name}")
        train(model[name], target_loss, SpanBatches(texts, tokenizer(), share=SHARE), how, checkpoint=own)
    for name in TEXTS:
        checkpoint.with_name(f"{checkpoint.name}.{name}").unlink(missing_ok=True)
    return model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Nats a token of the gaps in 1,000 matched cheques that neither has seen."""
    texts = cheque_texts("test", matched=True, limit=20 if smoke else None)
    batch = SpanBatches(texts, tokenizer(), share=SHARE)(len(texts), torch.Generator().manual_seed(0))
    with torch.no_grad():
        return {f"nats_{name}": float(target_loss(model[name], tuple(batch))) for name in TEXTS}


RECIPE = Recipe(
    name="t5_cheques",
    about="Two tiny T5s that filled gaps in numbers, written twice a line: once of the same number, once of another.",
    data="num2words (called): 8,000 of the 10,000 numbers below ten thousand, in digits and French words",
    build=build,
    train=_train,
    measure=_measure,
)
