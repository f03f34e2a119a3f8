"""The shipped autoencoder of scenes: what it keeps, in the units that its recipe states."""

import pytest
import torch

from companion.data.scenes import scenes
from companion.image.stable_diffusion.autoencoder import AutoencoderKL
from companion.metrics.scene_reader import score
from companion.models.autoencoder_scenes import SHAPE, SQUARE, build, load, measure
from companion.weights import card
from tests.conftest import gen

PICTURES = scenes(200, gen(11), split="test")


def test_latents_spread_by_1_about_0_in_its_scale() -> None:
    """On scenes that were held out, with the numbers that were measured on training scenes."""
    z = load().encode(PICTURES.images)
    assert z.shape == (200, *SHAPE)
    assert z.mean().item() == pytest.approx(0, abs=0.1) and z.std().item() == pytest.approx(1, abs=0.05)


def test_all_that_was_there_is_read_from_the_decoded_and_pixels_are_nearer_than_by_principal_components() -> None:
    there = load()
    again = there.decode(there.encode(PICTURES.images))
    assert score(again, PICTURES.scenes).all.float().mean() >= 0.99
    psnr = 10 * torch.log10(4 / (again - PICTURES.images).square().mean())
    assert psnr > 26.5, "4 principal components of 2×2 squares have 25.1"


def test_decoding_bears_a_small_error() -> None:
    there = load()
    z = there.encode(PICTURES.images)
    again = there.decode(z + 0.05 * torch.randn(z.shape, generator=gen()))
    assert score(again, PICTURES.scenes).all.float().mean() >= 0.97


def test_its_size_and_its_card() -> None:
    model = build()
    assert isinstance(model, AutoencoderKL) and model.config.in_channels == 3 * SQUARE**2
    assert sum(p.numel() for p in model.parameters()) == card("autoencoder_scenes").parameters
    found = measure(load().autoencoder, smoke=True)
    assert found.keys() == card("autoencoder_scenes").quality.keys() and found["psnr_db"] > 25
