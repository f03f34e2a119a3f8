"""The Flux of scenes, taught to draw in as many steps as it is told, down to one, and without the second pass of guidance.

Begins as a copy of the shipped `companion.models.flux_scenes`, told the number of steps besides. Its teacher is that model with
guidance 3, at sixteen steps; from there on down it learns from its own shorter steps (`companion.diffusion.shortcut`).
"""

from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from companion import weights
from companion.diffusion.guidance import guided
from companion.diffusion.prediction import Denoiser, as_denoiser
from companion.diffusion.shortcut import ShortcutLoss
from companion.image.flux.packed import PackedFlux, Told, student_of
from companion.image.flux.words import WordsAndWhole
from companion.image.stable_diffusion.pipeline import StableDiffusion
from companion.metrics.scene_reader import score
from companion.models import Recipe, flux_scenes
from companion.models import stable_diffusion_scenes as stable_diffusion
from companion.models.flux_scenes import KIND, PATH, SCENES, examples, together
from companion.training import TrainConfig, train

STEPS, SCALE, FINEST = 2_500, 3.0, 16


def build() -> PackedFlux:
    """The student before training, with the teacher's weights."""
    return student_of(weights.load_weights("flux_scenes", flux_scenes.build()), steps=True)


def load(steps: int) -> StableDiffusion:
    """The trained student, in evaluation mode, told that it draws in ``steps`` steps; ask it for as many, with scale 1."""
    student = student_of(flux_scenes.build(), steps=True)
    return together(Told(weights.load_weights("flux_shortcut_scenes", student), steps=steps))


def objective(teacher: PackedFlux) -> ShortcutLoss:
    """What the student is trained on: the guided teacher at sixteen steps, itself at fewer."""
    nothing = WordsAndWhole(stable_diffusion.words())([""])

    @torch.no_grad()
    def taught(*condition: Tensor) -> Denoiser:
        return as_denoiser(guided(teacher, condition, SCALE, null=nothing), PATH, KIND)

    return ShortcutLoss(PATH, KIND, taught, together(teacher).times, FINEST)


def _train(model: PackedFlux, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    teacher = weights.load_weights("flux_scenes", flux_scenes.build())
    how = TrainConfig(
        steps=4 if smoke else STEPS,
        batch_size=32,
        optimizer="muon",
        lr=2e-3,
        warmup=0.02,
        final_lr=0.02,
        ema=0.995,
        seed=seed,
    )
    draw = examples(64 if smoke else SCENES, seed)
    return train(model, objective(teacher), draw, how, checkpoint=checkpoint).model


def measure(model: PackedFlux, smoke: bool = False) -> dict[str, float]:
    """Of pictures drawn in 1, 2 and 4 steps from captions, as of the teacher: the share that is right in all respects."""
    found = {}
    for name, asked in stable_diffusion.asked_for(8 if smoke else 100).items():
        captions = [scene.caption() for scene in asked]
        for steps in (1, 2, 4):
            painter = together(Told(model, steps=steps))
            drawn = painter.text_to_image(captions, Generator().manual_seed(1), scale=1.0, steps=steps)
            found[f"all_{name}_{steps}"] = score(drawn, asked).shares()["all"]
    return found


RECIPE = Recipe(
    name="flux_shortcut_scenes",
    about="The Flux of scenes, distilled: it draws in as many steps as it is told, down to one, guidance included.",
    data=f"{stable_diffusion.RECIPE.data}; starts from the weights of flux_scenes",
    build=build,
    train=_train,
    measure=measure,
)
