"""Latents: scale and shift, there and back, squares, and the number that belongs to no other autoencoder."""

import torch
from torch import nn

from companion.image.stable_diffusion.autoencoder import AutoencoderKL, Posterior
from companion.image.stable_diffusion.config import AutoencoderConfig
from companion.image.stable_diffusion.latents import Latents, measured_scale, squares
from tests.conftest import gen, rejects


class Doubler(nn.Module):
    """Its code is twice the picture plus 6, and decoding undoes that; a wide posterior that nobody may draw from."""

    def encode(self, x: torch.Tensor) -> Posterior:
        return Posterior(2 * x + 6, torch.full_like(x, 20.0))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return (z - 6) / 2


PICTURES = 0.3 * torch.randn(150, 3, 4, 8, generator=gen()).clamp(-3, 3)


def test_there_and_back_with_a_measured_scale_the_latents_spread_by_1() -> None:
    scale, shift = measured_scale(Doubler().encode(squares(PICTURES, 2)).mean)
    latents = Latents(Doubler(), scale, shift, 2)
    z = latents.encode(PICTURES)
    assert z.shape == (150, 12, 2, 4) and abs(z.mean()) < 1e-5 and abs(z.std() - 1) < 1e-5
    torch.testing.assert_close(latents.decode(z), PICTURES, rtol=0, atol=1e-5)
    torch.testing.assert_close(z, scale * (2 * squares(PICTURES, 2) + 6 - shift))


def test_the_mean_is_used_and_not_a_draw() -> None:
    latents = Latents(Doubler())
    assert torch.equal(latents.encode(PICTURES), latents.encode(PICTURES))


def test_pictures_end_at_their_bounds() -> None:
    assert Latents(Doubler()).decode(torch.full((1, 3, 2, 2), 100.0)).max() == 1


def test_squares_keep_each_pixel() -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    y = squares(x, 2)
    assert torch.equal(y[1, :, 1, 2], x[1, :, 2:4, 4:6].reshape(12))
    with rejects("pictures"):
        squares(x, 4)


def test_an_autoencoder_of_the_published_form_stands_in_it() -> None:
    latents = Latents(AutoencoderKL(AutoencoderConfig(12, 4, (8,), groups=4)).eval(), square=2)
    assert latents.decode(latents.encode(PICTURES)).shape == PICTURES.shape
    with rejects("autoencoder"):
        Latents(nn.Linear(2, 2))


def test_the_autoencoder_moves_to_a_device_and_the_numbers_stay() -> None:
    here = Latents(AutoencoderKL(AutoencoderConfig(widths=(8,))), 0.5, 2.0, 2)
    there = here.to("meta")
    assert {p.device.type for p in there.autoencoder.parameters()} == {"meta"}
    assert (there.scale, there.shift, there.square) == (0.5, 2.0, 2)


def test_pictures_end_at_both_bounds() -> None:
    ends = Latents(Doubler()).decode(torch.tensor([-100.0, 100.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2))
    assert ends.min() == -1 and ends.max() == 1


def test_latents_that_do_not_spread_have_no_scale() -> None:
    for wrong in (torch.zeros(2, 1, 2, 2), torch.zeros(1, 1, 1, 1), torch.full((2, 1, 2, 2), float("nan"))):
        with rejects("means"):
            measured_scale(wrong)
