"""The pipeline: its parts by hand, what strength and holes keep, what prompts, guidance and negative prompts change."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.paths import RectifiedFlow, cosine_schedule
from companion.image.stable_diffusion.autoencoder import Posterior
from companion.image.stable_diffusion.config import TextUNetConfig
from companion.image.stable_diffusion.latents import Latents
from companion.image.stable_diffusion.pipeline import StableDiffusion
from companion.image.stable_diffusion.unet import TextUNet
from tests.conftest import gen, rejects
from tests.image.stable_diffusion.test_latents import Doubler

WORDS = {"": 0, "red": 1, "blue": 2, "green": 3}


class Two(nn.Module):
    """Two words: the start and the prompt's; the empty prompt has only the start."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(5, 6, generator=gen(8)), requires_grad=False)

    def forward(self, prompts):
        states = torch.stack([torch.stack([self.table[4], self.table[WORDS[prompt]]]) for prompt in prompts])
        return states, torch.tensor([[True, prompt != ""] for prompt in prompts], device=self.table.device)


condition = Two()


def painter() -> StableDiffusion:
    net = TextUNet(TextUNetConfig(3, 6, (8, 8), (True, False), (2, 2), groups=4, time_scale=100.0)).eval()
    generator = gen(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return StableDiffusion(Two(), net, Latents(Doubler(), 0.5, 6.0), (3, 4, 4), RectifiedFlow(), "velocity")


PAINTER = painter()
GIVEN = 0.5 * torch.randn(2, 3, 4, 4, generator=gen(6)).clamp(-1.9, 1.9)


@torch.no_grad()
def test_words_to_a_picture_by_hand() -> None:
    """Euler's steps with v = v(nothing) + w (v(prompt) - v(nothing)), then the decoder."""
    z, (told, real), (nothing, start) = torch.randn(1, 3, 4, 4, generator=gen(3)), condition(["red"]), condition([""])
    for i in range(5):
        t = torch.tensor([i / 5])
        without, with_words = PAINTER.net(z, t, nothing, start), PAINTER.net(z, t, told, real)
        z = z + 0.2 * (without + 2.5 * (with_words - without))
    got = PAINTER.text_to_image(["red"], gen(3), scale=2.5, steps=5)
    torch.testing.assert_close(got, z.clamp(-1, 1), rtol=1e-4, atol=1e-5)  # Doubler's latents are the picture


def test_all_parts_move_to_a_device() -> None:
    """On the pretended device the lesson draws, changes and fills."""
    moved = painter().to("meta")
    parts = [moved.noise(2, gen()), *moved.condition(["red"]), *moved.net.parameters()]
    assert {part.device.type for part in parts} == {"meta"} and PAINTER.device == PAINTER.noise(
        1, gen()
    ).device.type == "cpu"


def test_prompt_seed_scale_and_negative_prompt_each_change_the_picture_and_nothing_else_does() -> None:
    base = PAINTER.text_to_image(["red"], gen(), steps=3)
    assert torch.equal(base, PAINTER.text_to_image(["red"], gen(), steps=3))
    for other in (
        PAINTER.text_to_image(["blue"], gen(), steps=3),
        PAINTER.text_to_image(["red"], gen(1), steps=3),
        PAINTER.text_to_image(["red"], gen(), steps=3, scale=2.0),
        PAINTER.text_to_image(["red"], gen(), steps=3, negative="green"),
        PAINTER.text_to_image(["red"], gen(), steps=4),
    ):
        assert (other - base).abs().max() > 1e-3
    both = PAINTER.text_to_image(["red", "blue"], gen(), steps=3)
    torch.testing.assert_close(both[:1], base, rtol=1e-4, atol=1e-4)


def test_a_negative_prompt_takes_the_empty_ones_place() -> None:
    """So with scale 1 it does nothing, and away from the prompt itself there is nothing to go."""
    plain = PAINTER.text_to_image(["red"], gen(), steps=3, scale=1.0)
    assert torch.equal(PAINTER.text_to_image(["red"], gen(), steps=3, scale=1.0, negative="green"), plain)
    away = PAINTER.text_to_image(["red"], gen(), steps=3, scale=4.0, negative="red")
    torch.testing.assert_close(away, plain, rtol=1e-4, atol=1e-4)


class TestShift:
    def test_it_is_that_of_stable_diffusion_3_told_in_its_own_time(self) -> None:
        """As printed there, of the noise's share n = 1 - t: s n / (1 + (s - 1) n); against diffusers' scheduler, too."""
        from diffusers import FlowMatchEulerDiscreteScheduler

        shifted, n = replace(PAINTER, shift=3.0), torch.tensor([1 - i / 5 for i in range(6)], dtype=torch.float64)
        got = 1 - torch.tensor(shifted.times(5), dtype=torch.float64)
        torch.testing.assert_close(got, 3 * n / (1 + 2 * n))
        theirs = FlowMatchEulerDiscreteScheduler(shift=3.0)
        theirs.set_timesteps(sigmas=n[:-1].tolist())
        torch.testing.assert_close(theirs.sigmas.double(), got, rtol=1e-5, atol=1e-6)
        assert PAINTER.times(5) == PAINTER.path.times(5)

    def test_all_three_ways_use_it(self) -> None:
        shifted, hole = replace(PAINTER, shift=3.0), torch.ones(2, 4, 4, dtype=torch.bool)
        for draw in (
            lambda p: p.text_to_image(["red", "blue"], gen(), steps=3),
            lambda p: p.image_to_image(GIVEN, ["red", "blue"], 0.7, gen(), steps=3),
            lambda p: p.inpaint(GIVEN, hole, ["red", "blue"], gen(), steps=3),
        ):
            assert (draw(shifted) - draw(PAINTER)).abs().max() > 1e-3

    def test_a_path_in_whole_steps_is_refused(self) -> None:
        with rejects("shift"):
            replace(PAINTER, path=cosine_schedule(10), shift=3.0).times(5)


class TestImageToImage:
    def test_full_strength_is_a_picture_from_noise(self) -> None:
        got = PAINTER.image_to_image(GIVEN, ["red", "blue"], 1.0, gen(), steps=4)
        torch.testing.assert_close(got, PAINTER.text_to_image(["red", "blue"], gen(), steps=4), rtol=1e-5, atol=1e-5)

    def test_the_weaker_the_nearer(self) -> None:
        apart = [
            float((PAINTER.image_to_image(GIVEN, ["red", "blue"], s, gen(), steps=10) - GIVEN).square().mean())
            for s in (0.1, 0.5, 1.0)
        ]
        assert apart[0] < apart[1] < apart[2]

    @torch.no_grad()
    def test_it_begins_at_the_picture_mixed_with_noise(self) -> None:
        """Strength ½ of 4 steps: from t = ½ two of Euler's, of α z + σ ε with both shares ½ (I49)."""
        noise = torch.randn(2, 3, 4, 4, generator=gen())
        denoiser = PAINTER.denoiser(["red", "blue"], 3.0)
        want = ddim_sample(denoiser, PAINTER.path, 0.5 * GIVEN + 0.5 * noise, [0.5, 0.75, 1.0]).clamp(-1, 1)
        got = PAINTER.image_to_image(GIVEN, ["red", "blue"], 0.5, gen(), steps=4)
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


class TestInpaint:
    hole = torch.zeros(2, 4, 4, dtype=torch.bool)
    hole[:, 1:3, 2:] = True

    def test_what_is_given_stays_to_the_pixel_and_the_hole_does_not_matter(self) -> None:
        got = PAINTER.inpaint(GIVEN, self.hole, ["red", "blue"], gen(), steps=4)
        assert torch.equal(got[~self.hole[:, None].expand_as(got)], GIVEN[~self.hole[:, None].expand_as(got)])
        other = torch.where(self.hole[:, None], -GIVEN, GIVEN)
        assert torch.equal(PAINTER.inpaint(other, self.hole, ["red", "blue"], gen(), steps=4), got)

    def test_what_stood_in_the_hole_does_not_leak_through_an_encoder_that_sees_far(self) -> None:
        class Far(Doubler):
            """Each place of its code knows the whole picture, as places do after a few convolutions."""

            def encode(self, x: torch.Tensor) -> Posterior:
                return super().encode(x + x.mean((2, 3), keepdim=True))

        painter = replace(PAINTER, latents=Latents(Far(), 0.5, 6.0))
        other = torch.where(self.hole[:, None], 0.9 - GIVEN, GIVEN)
        got, again = (painter.inpaint(x, self.hole, ["red", "blue"], gen(), steps=4) for x in (GIVEN, other))
        assert torch.equal(got, again)

    def test_what_is_given_and_the_prompt_matter_in_the_hole(self) -> None:
        inside = self.hole[:, None].expand_as(GIVEN)
        base = PAINTER.inpaint(GIVEN, self.hole, ["red", "blue"], gen(), steps=4)[inside]
        for pictures, prompts in ((-GIVEN, ["red", "blue"]), (GIVEN, ["green", "green"])):
            assert (PAINTER.inpaint(pictures, self.hole, prompts, gen(), steps=4)[inside] - base).abs().max() > 1e-3

    def test_a_hole_everywhere_is_a_picture_from_noise(self) -> None:
        got = PAINTER.inpaint(GIVEN, torch.ones_like(self.hole), ["red", "blue"], gen(), steps=4)
        torch.testing.assert_close(got, PAINTER.text_to_image(["red", "blue"], gen(), steps=4), rtol=1e-5, atol=1e-5)

    def test_more_rounds_draw_something_else_in_the_hole(self) -> None:
        once, twice = (PAINTER.inpaint(GIVEN, self.hole, ["red", "blue"], gen(), steps=4, rounds=n) for n in (1, 2))
        apart = (once - twice).abs().amax(1)
        assert apart[~self.hole].max() == 0 and apart[self.hole].max() > 1e-2


def test_a_place_is_drawn_anew_if_any_of_its_pixels_is_in_the_hole(monkeypatch) -> None:
    """Squares of 2×2 pixels to a place: one pixel opens its place, and outside the hole that place keeps its pixels."""
    net = TextUNet(TextUNetConfig(12, 6, (8, 8), (True, False), (2, 2), groups=4)).eval()
    coarse = StableDiffusion(condition, net, Latents(Doubler(), 0.5, 6.0, 2), (12, 2, 4), RectifiedFlow(), "velocity")
    seen, hole = [], torch.zeros(1, 4, 8, dtype=torch.bool)
    hole[0, 1, 5] = True
    monkeypatch.setattr(
        "companion.image.stable_diffusion.pipeline.keep_outside", lambda d, path, h, z: seen.append(h) or d
    )
    given = torch.full((1, 3, 4, 8), 0.5)
    got = coarse.inpaint(given, hole, ["red"], gen(), steps=2)
    assert seen[0].nonzero().tolist() == [[0, 0, 0, 2]]
    assert (got != given).any(1).nonzero().tolist() == [[0, 1, 5]]


def test_bad_input_is_refused() -> None:
    with rejects("prompts"):
        PAINTER.image_to_image(GIVEN, ["red"], 0.5, gen())
    with rejects("prompts"):
        PAINTER.inpaint(GIVEN, TestInpaint.hole, ["red"], gen())
    with rejects("strength"):
        PAINTER.image_to_image(GIVEN, ["red", "blue"], 1.5, gen())
    with rejects("scale"):
        PAINTER.text_to_image(["red"], gen(), scale=-1.0)
    with pytest.raises(KeyError):
        PAINTER.text_to_image(["purple"], gen())


@pytest.mark.parametrize("how", [{"scale": 1.5}, {"negative": "green"}], ids=["scale", "negative"])
def test_guidance_counts_in_changes_and_in_holes_too(how) -> None:
    for draw in (
        lambda **how: PAINTER.image_to_image(GIVEN, ["red", "blue"], 0.5, gen(), steps=4, **how),
        lambda **how: PAINTER.inpaint(GIVEN, TestInpaint.hole, ["red", "blue"], gen(), steps=4, **how),
    ):
        assert (draw(**how) - draw()).abs().max() > 1e-3


@pytest.mark.parametrize(("strength", "taken"), [(0.0, 1), (0.04, 1), (0.29, 3), (0.31, 3), (1.0, 10)])
def test_strength_is_the_nearest_number_of_steps_and_at_least_one(strength, taken) -> None:
    seen = []
    watched = replace(PAINTER, net=lambda z, t, *told: seen.append(float(t[0])) or PAINTER.net(z, t, *told))
    watched.image_to_image(GIVEN[:1], ["red"], strength, gen(), steps=10)
    assert seen == pytest.approx([1 - i / 10 for i in range(taken, 0, -1)])


def test_pictures_of_another_size_and_a_shift_that_is_none_are_refused() -> None:
    other = torch.zeros(1, 3, 8, 8)
    with rejects("pictures"):
        PAINTER.image_to_image(other, ["red"], 0.5, gen())
    with rejects("pictures"):
        PAINTER.inpaint(other, torch.ones(1, 8, 8, dtype=torch.bool), ["red"], gen())
    for shift in (0.0, -1.0, float("nan")):
        with rejects("shift"):
            replace(PAINTER, shift=shift)
