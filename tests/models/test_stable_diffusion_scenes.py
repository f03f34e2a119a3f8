"""The shipped Stable Diffusion of scenes: it draws what is asked for, its training set is exact, and it fits its card."""

import torch
from torch import Tensor

from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
from companion.models import autoencoder_scenes, clip_scenes
from companion.models.stable_diffusion_scenes import build, condition, load, objective, training_set
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


def test_the_condition_is_each_word_alone_and_in_its_prompt_and_the_empty_prompt_is_start_and_end() -> None:
    model, tokens = clip_scenes.load()
    states, real = condition(["a cat on mint", "a dog on mint", ""])
    ids = tokens.encode(["a cat on mint", "a dog on mint", ""])
    width = model.config.text.width
    torch.testing.assert_close(states[..., width:], model.text(ids))
    alone = states[..., :width]
    torch.testing.assert_close(alone.mean(2), torch.zeros(3, 12), rtol=0, atol=1e-5)
    torch.testing.assert_close(alone.std(2, correction=0), torch.ones(3, 12), rtol=1e-2, atol=0)
    assert torch.equal(alone[0, 4], alone[1, 4])  # "mint" alone is the same word, in its prompt it is not
    assert (states[0, 4, width:] - states[1, 4, width:]).abs().max() > 1e-2
    assert real.sum(1).tolist() == [6, 6, 2] and not states.requires_grad


def test_the_objective_drops_a_tenth_of_the_captions_for_the_empty_prompt() -> None:
    loss, seen = objective(), []
    states, real = condition(["a cat on mint"])
    empty = condition([""])[0]

    def net(z_t: Tensor, t: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        seen.append((words - empty).flatten(1).abs().amax(1) == 0)
        return torch.zeros_like(z_t)

    n = 2000
    batch = torch.zeros(n, 4, 2, 2), states.expand(n, -1, -1), real.expand(n, -1)
    assert loss(net, batch, gen()) >= 0
    assert 0.075 < float(seen[0].float().mean()) < 0.125


def test_measured_is_more_than_chance_in_no_respect_that_is_memory() -> None:
    found = card("stable_diffusion_scenes").quality
    assert abs(found["remembered"] - 0.5) < 0.15  # of 100 pictures: three standard errors


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
