"""The shipped Stable Diffusion of scenes: it draws what is asked for, its training set is exact, and it fits its card."""

import pytest
import torch
from torch import Tensor

from companion.data.scene import render
from companion.data.scenes import scenes, split_of
from companion.metrics.scene_reader import score
from companion.models import autoencoder_scenes
from companion.models import stable_diffusion_scenes as recipe
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


def test_nothing_is_remembered() -> None:
    found = card("stable_diffusion_scenes").quality
    assert abs(found["remembered"] - 0.5) < 0.2  # of some 55 pictures: three standard errors


def test_it_draws_what_is_asked_for_far_better_than_pictures_of_other_captions() -> None:
    asked = scenes(40, gen(3))
    drawn = load().text_to_image(asked.captions, gen(4), steps=12)
    right = score(drawn, asked.scenes).shares()
    wrong = score(drawn, [*asked.scenes[1:], asked.scenes[0]]).shares()
    assert right["background"] > 0.95 and wrong["background"] < 0.5
    assert min(right.values()) > 0.9 and wrong["all"] < 0.1


def test_its_size_and_its_card() -> None:
    assert sum(p.numel() for p in build().parameters()) == card("stable_diffusion_scenes").parameters
    quality = card("stable_diffusion_scenes").quality
    assert quality["all_seen"] >= 0.95 and quality["all_held"] >= 0.95 and quality["picked_held"] >= 0.9


def test_training_scenes_come_in_parts_that_differ_and_none_is_lost() -> None:
    parts = [*recipe._training_scenes(1100, 5)]
    assert [len(part.captions) for part in parts] == [500, 500, 100]
    assert parts[0].captions[:100] != parts[1].captions[:100] != parts[2].captions


def test_the_objective_is_the_velocitys_at_times_many_of_them_near_the_noise() -> None:
    seen, empty = [], (torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))

    def net(z_t, t, *told):
        seen.append((z_t, t))
        return torch.zeros_like(z_t)

    n = 4000
    x = torch.randn(n, 1, 2, 2, generator=gen(1))
    got = recipe.objective(empty)(net, (x, *(part.expand(n, *part.shape[1:]) for part in empty)), gen())
    ((_, t),) = seen
    want = (x.square().mean((1, 2, 3)) / (1 - t) ** 2).mean()  # v = (x0 - z_t) / (1 - t) on a straight path
    assert float(got) == pytest.approx(float(want), rel=1e-3)
    assert 0.6 < float((t < 0.5).float().mean()) < 0.8 and float((t < 0.05).float().mean()) > 0.05


@pytest.mark.parametrize("copies", [True, False])
def test_measure_tells_one_that_remembers_from_one_that_draws_anew_and_asks_for_held_out_pairs(
    copies, monkeypatch
) -> None:
    drawn, asked = {}, []

    def recorded(*args, **kwargs):
        some = scenes(*args, **kwargs)
        for scene in some.scenes:
            drawn.setdefault(scene.caption(), scene)  # captions repeat; asked are the first ones
        return some

    class Painter:
        def text_to_image(self, captions, generator, **how):
            some = [drawn[caption] for caption in captions]
            asked.append(some)
            contents = [(scene.background, scene.names, scene.relation) for scene in some]
            return render(some if copies else recipe.arrange(contents, gen(77)))

    monkeypatch.setattr(recipe, "scenes", recorded)
    monkeypatch.setattr(recipe, "together", lambda model: Painter())
    found = recipe.measure(recipe.build(), smoke=True)
    splits = [{split_of(scene.names, scene.relation) for scene in some} for some in asked]
    assert splits == [{"train"}, {"test"}]
    assert min(found[f"{what}_{name}"] for what in ("all", "picked") for name in ("seen", "held")) > 0.7
    assert found["remembered"] == 1 if copies else 0.1 < found["remembered"] < 0.9
