"""The shipped shortcut model of scenes: a copy of its teacher at first, and in few calls better than it."""

import torch

from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
from companion.models import flux_scenes
from companion.models.flux_shortcut_scenes import FINEST, KIND, PATH, SCALE, build, load, objective
from companion.weights import card
from tests.conftest import gen


@torch.no_grad()
def test_before_training_it_answers_as_the_shipped_teacher() -> None:
    teacher, student = flux_scenes.load().net, build().eval()
    z, t = torch.randn(2, 4, 16, 16, generator=gen()), torch.tensor([0.1, 0.8])
    told = flux_scenes.load().condition(["a cat on mint", "a red heart on sand"])
    for n in (1, 16):
        torch.testing.assert_close(student(z, t, *told, steps=torch.full((2,), n)), teacher(z, t, *told))


@torch.no_grad()
def test_its_teacher_is_guided() -> None:
    painter = flux_scenes.load()
    loss = objective(painter.net)
    told, z, t = painter.condition(["a cat on mint"]), torch.randn(1, 4, 16, 16, generator=gen()), torch.tensor([0.3])
    want = painter.denoiser(["a cat on mint"], SCALE)(z, t).x0
    torch.testing.assert_close(loss.teacher(*told)(z, t).x0, want)
    assert (loss.path, loss.kind, loss.finest) == (PATH, KIND, FINEST) and loss.times(4) == painter.times(4)


def test_in_few_calls_it_draws_more_right_than_its_teacher_in_as_many() -> None:
    asked = scenes(40, gen(3), split="test")
    teacher = flux_scenes.load()
    for calls in (2, 4):
        ours = load(calls).text_to_image(asked.captions, gen(4), scale=1.0, steps=calls)
        theirs = teacher.text_to_image(asked.captions, gen(4), steps=calls // 2)
        assert score(ours, asked.scenes).shares()["all"] > score(theirs, asked.scenes).shares()["all"] + 0.1


def test_its_card() -> None:
    found = card("flux_shortcut_scenes")
    assert found.quality["all_held_1"] < found.quality["all_held_4"] + 0.05
    assert found.quality["all_held_4"] >= 0.7
