"""The shipped Stable Diffusion of scenes: it draws what is asked for, its training set is exact, and it fits its card."""

import torch

from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
from companion.models import autoencoder_scenes, clip_scenes
from companion.models.stable_diffusion_scenes import build, condition, load, training_set
from companion.training.batches import mix
from companion.weights import card
from tests.conftest import gen


def test_the_training_set_is_latents_and_states_of_the_same_scenes_and_none_that_is_held_out() -> None:
    latents, states, real = training_set(40, 5)
    some = scenes(40, gen(mix("stable diffusion", 5)))
    torch.testing.assert_close(latents.float(), autoencoder_scenes.load().encode(some.images), rtol=1e-3, atol=1e-3)
    want, mask = condition(some.captions)
    torch.testing.assert_close(states.float(), want, rtol=1e-3, atol=1e-3)
    assert torch.equal(real, mask) and latents.dtype == states.dtype == torch.float16 and some.split == "train"


def test_the_condition_is_the_shipped_clips_and_the_empty_prompt_is_start_and_end() -> None:
    model, tokens = clip_scenes.load()
    states, real = condition(["a cat on mint", ""])
    ids = tokens.encode(["a cat on mint", ""])
    torch.testing.assert_close(states, model.text(ids))
    assert real.sum(1).tolist() == [6, 2] and not states.requires_grad


def test_it_draws_what_is_asked_for_far_better_than_pictures_of_other_captions() -> None:
    asked = scenes(40, gen(3))
    drawn = load().text_to_image(asked.captions, gen(4), steps=12)
    right = score(drawn, asked.scenes).shares()
    wrong = score(drawn, [*asked.scenes[1:], asked.scenes[0]]).shares()
    assert right["background"] > 0.9 and wrong["background"] < 0.5
    assert right["colours"] > wrong["colours"] + 0.2 and right["relation"] > wrong["relation"] + 0.15


def test_its_size_and_its_card() -> None:
    assert sum(p.numel() for p in build().parameters()) == card("stable_diffusion_scenes").parameters
    assert card("stable_diffusion_scenes").quality["background_seen"] > 0.9
