"""The shipped Flux of scenes: it draws what is asked for, learns from Stable Diffusion's scenes, and fits its card."""

import torch
from torch import Tensor

from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
from companion.models import flux_scenes as recipe
from companion.models.flux_scenes import build, examples, load, objective
from companion.models.stable_diffusion_scenes import training_set
from companion.weights import card
from tests.conftest import gen


def test_examples_are_those_of_stable_diffusion_with_the_mean_of_the_real_words() -> None:
    latents, told, real = training_set(30, 5)
    x, words, pooled = examples(30, 5)(50, gen())
    rows = [int((latents.float() - one).flatten(1).abs().amax(1).argmin()) for one in x]
    assert torch.equal(x, latents[rows].float()) and torch.equal(words, told[rows].float()) and len({*rows}) > 15
    for one, row in zip(pooled, rows, strict=True):
        torch.testing.assert_close(one, told[row][real[row]].float().mean(0))


def test_the_objective_is_the_velocitys_and_drops_a_tenth_of_the_captions() -> None:
    seen, loss = [], objective()

    def net(z_t: Tensor, t: Tensor, words: Tensor, pooled: Tensor) -> Tensor:
        seen.append((words, pooled, t))
        return torch.zeros_like(z_t)

    n = 2000
    x, words, pooled = (
        torch.randn(n, 4, 2, 2, generator=gen()),
        *(torch.full((n, *s), 9.0) for s in ((12, 192), (192,))),
    )
    got = float(loss(net, (x, words, pooled), gen(1)))
    ((words, pooled, t),) = seen
    gone = (words != 9).flatten(1).any(1)
    assert torch.equal(gone, (pooled != 9).any(1)) and 0.075 < float(gone.float().mean()) < 0.125
    assert 1.8 < got < 2.2  # noise and data of spread 1: the velocity's variance is 2
    assert 0.6 < float((t < 0.5).float().mean()) < 0.8


def test_it_draws_what_is_asked_for_far_better_than_pictures_of_other_captions() -> None:
    asked = scenes(40, gen(3))
    drawn = load().text_to_image(asked.captions, gen(4), steps=12)
    right = score(drawn, asked.scenes).shares()
    wrong = score(drawn, [*asked.scenes[1:], asked.scenes[0]]).shares()
    assert right["background"] > 0.95 and wrong["background"] < 0.5
    assert right["all"] > 0.75 and wrong["all"] < 0.1


def test_its_size_and_its_card() -> None:
    found = card("flux_scenes")
    config = build().inner.config
    assert sum(p.numel() for p in build().parameters()) == found.parameters
    assert 2 * config.double == config.single and config.width == 128 and not config.guidance and not config.steps
    assert found.quality["all_seen"] >= 0.85 and found.quality["all_held"] >= 0.85
    assert abs(found.quality["remembered"] - 0.5) < 0.2
    assert recipe.RECIPE.data == recipe.stable_diffusion.RECIPE.data
