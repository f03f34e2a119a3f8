"""Flux in miniature: the scenes of `companion.models.stable_diffusion_scenes`, drawn by a transformer of tokens and words.

Text tower, autoencoder, training scenes, times and examples a step are those of that model; what differs is the denoiser: in
place of a U-Net that looks at the words, two double and four single blocks (`companion.image.flux.blocks`), one to two as in
the published model, over 64 image tokens and 12 words. It predicts the velocity, as Flux does.

It is trained in two rounds of 8,000 updates, each of which warms up and slows down (Loshchilov & Hutter, "SGDR: Stochastic
Gradient Descent with Warm Restarts", 2016, arXiv:1608.03983); the second begins with the averaged weights of the first.
"""

from collections.abc import Callable
from pathlib import Path

from torch import Generator, Tensor, nn

from companion import weights
from companion.diffusion.losses import DenoisingLoss
from companion.image.flux.config import FluxConfig
from companion.image.flux.model import Flux
from companion.image.flux.packed import SQUARE, PackedFlux
from companion.image.flux.words import WordsAndWhole, whole
from companion.image.stable_diffusion.pipeline import StableDiffusion
from companion.models import Recipe, autoencoder_scenes
from companion.models import stable_diffusion_scenes as stable_diffusion
from companion.models.stable_diffusion_scenes import PATH, SCENES, SHIFT, TIMES
from companion.training import TrainConfig, train
from companion.training.random import randint

STEPS, ROUNDS = 8_000, ((8e-3, 0.01), (6e-3, 0.02))  # rate and warm-up of each
KIND = "velocity"


def build() -> PackedFlux:
    """The denoiser before training."""
    channels, width = autoencoder_scenes.SHAPE[0], stable_diffusion.words().width
    sizes = {"heads": 4, "axes": (8, 12, 12), "double": 2, "single": 4}
    config = FluxConfig(channels * SQUARE**2, width, width, **sizes)
    return PackedFlux(Flux(config))


def load() -> StableDiffusion:
    """The whole model, trained, in evaluation mode."""
    return together(weights.load_weights("flux_scenes", build()))


def together(denoiser: PackedFlux) -> StableDiffusion:
    """A denoiser with the shipped text tower and autoencoder, in the pipeline that Flux shares with Stable Diffusion."""
    condition, latents = WordsAndWhole(stable_diffusion.words()), autoencoder_scenes.load()
    return StableDiffusion(condition, denoiser, latents, autoencoder_scenes.SHAPE, PATH, KIND, SHIFT)


def examples(n: int, seed: int) -> Callable[[int, Generator], tuple[Tensor, Tensor, Tensor]]:
    """A draw of the training scenes: latents, words and the whole, for `companion.training.train`."""
    latents, told, real = stable_diffusion.training_set(n, seed)

    def draw(count: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        chosen = randint(n, (count,), generator)
        words = told[chosen].float()
        return latents[chosen].float(), words, whole(words, real[chosen])

    return draw


def objective() -> DenoisingLoss:
    """What the denoiser was trained on: its velocity; for a tenth of the pictures the caption is empty."""
    nothing = WordsAndWhole(stable_diffusion.words())([""])
    return DenoisingLoss(PATH, KIND, times=TIMES, drop=0.1, null=nothing)


def _train(model: PackedFlux, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    draw, rounds = examples(64 if smoke else SCENES, seed), []
    for i, (rate, warmup) in enumerate(ROUNDS):
        how = TrainConfig(
            steps=4 if smoke else STEPS,
            batch_size=32,
            optimizer="muon",
            lr=rate,
            warmup=warmup,
            final_lr=0.02,
            ema=0.998,
            seed=seed + i,
        )
        rounds.append(checkpoint.with_suffix(f".{i}"))
        model = train(model, objective(), draw, how, checkpoint=rounds[-1]).model
    for file in rounds:
        file.unlink(missing_ok=True)
    return model


def measure(model: PackedFlux, smoke: bool = False) -> dict[str, float]:
    """What `companion.models.stable_diffusion_scenes.examine` says of the whole."""
    return stable_diffusion.examine(together(model), smoke)


RECIPE = Recipe(
    name="flux_scenes",
    about="The denoiser of a Flux in miniature: pictures of scenes, 32×32 pixels, from their captions.",
    data=stable_diffusion.RECIPE.data,
    build=build,
    train=_train,
    measure=measure,
)
