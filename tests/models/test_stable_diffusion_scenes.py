"""The shipped Stable Diffusion of scenes: it draws what is asked for, its training set is exact, and it fits its card."""

import torch
from torch import Tensor

from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
from companion.models import autoencoder_scenes
from companion.models.stable_diffusion_scenes import build, load, objective, training_set, words
from companion.training.batches import mix
from companion.weights import card
from tests.conftest import gen


def test_the_training_set_is_latents_and_states_of_the_same_scenes_and_none_that_is_held_out() -> None:
    latents, states, real = training_set(40, 5)
    some = scenes(40, gen(mix("stable diffusion", 5)))
    torch.testing.assert_close(latents.float(), autoencoder_scenes.load().encode(some.images), rtol=1e-3, atol=1e-3)
    want, mask = words()(some.captions)
    torch.testing.assert_close(states.float(), want, rtol=1e-3, atol=1e-3)
    assert torch.equal(real, mask) and latents.dtype == states.dtype == torch.float16 and some.split == "train"


def test_the_objective_drops_a_tenth_of_the_captions_for_the_empty_prompt() -> None:
    (states, real), empty = words()(["a cat on mint"]), words()([""])
    loss, seen = objective(empty), []

    def net(z_t: Tensor, t: Tensor, told: Tensor, mask: Tensor) -> Tensor:
        seen.append((told - empty[0]).flatten(1).abs().amax(1) == 0)
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
