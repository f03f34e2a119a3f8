"""The linear autoencoder, and the whole of Stable Diffusion with it against its closed form."""

import math

import pytest
import torch

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.paths import RectifiedFlow, cosine_schedule
from companion.image.stable_diffusion.latents import Latents
from companion.image.stable_diffusion.linear_autoencoder import LinearAutoencoder, normal_denoiser
from companion.image.stable_diffusion.pipeline import StableDiffusion
from tests.conftest import gen, rejects

PICTURES = (torch.randn(60, 6, generator=gen(1)) @ torch.randn(6, 24, generator=gen(2)) * 0.1).reshape(60, 2, 3, 4)
PICTURES = PICTURES.double() + 0.1


def test_it_is_principal_components() -> None:
    """Against the eigenvectors of the covariance; the error is the sum of what is left out."""
    model, rows = LinearAutoencoder.fit(PICTURES, 4), PICTURES.flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(rows.T, correction=0))
    torch.testing.assert_close(model.variances, values[-4:].flip(0))
    error = (model.decode(model.encode(PICTURES).mean) - PICTURES).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(error, values[:-4].sum())
    torch.testing.assert_close((model.directions * vectors[:, -4:].flip(1)).sum(0).abs(), torch.ones(4).double())


def test_codes_are_decoded_and_encoded_to_themselves_and_are_sure() -> None:
    model, z = LinearAutoencoder.fit(PICTURES, 3), torch.randn(5, 3, 1, 1).double()
    q = model.encode(model.decode(z))
    torch.testing.assert_close(q.mean, z)
    assert q.std.max() < 1e-6


@pytest.mark.parametrize(
    ("path", "times"),
    [
        (RectifiedFlow(), [0.001, *torch.linspace(0.002, 1, 3000).tolist()]),
        (cosine_schedule(1000), [*range(990, -2, -1)]),
    ],
    ids=["straight", "variance preserving"],
)
def test_the_whole_pipeline_is_its_closed_form(path, times) -> None:
    """eq-sd-linear-whole, from the first state through guidance, sampler, scale, shift and decoder, in float64."""
    model, scale, shift = LinearAutoencoder.fit(PICTURES, 4), 2.5, 0.01
    latents, mean = Latents(model, scale, shift), -scale * shift  # of the latents, whose variances are scale² λ
    centred = normal_denoiser(path, scale**2 * model.variances)

    def net(z_t, t, states, mask):
        """The best noise about a known mean; the words are not looked at."""
        return centred(z_t - path.alpha_sigma(t, z_t)[0] * mean, t).eps

    def condition(prompts):
        return torch.zeros(len(prompts), 2, 3).double(), torch.ones(len(prompts), 2, dtype=torch.bool)

    painter = StableDiffusion(condition, net, latents, (4, 1, 1), path, "epsilon")
    noise = torch.randn(3, 4, 1, 1, generator=gen(4), dtype=torch.float64)
    got = latents.decode(ddim_sample(painter.denoiser(["a", "b", "c"], 3.0), path, noise, times))
    alpha, sigma = path.alpha_sigma(torch.tensor(times[:1]), noise[:1])
    spread = scale**2 * model.variances[:, None, None]
    z = mean + (noise - alpha * mean) * (spread / (alpha**2 * spread + sigma**2)).sqrt()
    want = model.decode(z / scale + shift).clamp(-1, 1)
    torch.testing.assert_close(got, want, rtol=0, atol=2e-3)
    assert want.abs().max() < 1 and want.std() > 0.1, "nothing is clipped, and there is something to compare"


def test_drawn_pictures_have_the_data_s_mean_and_covariance() -> None:
    """N(m, V Λ Vᵀ): what is left out of the code is left out of the pictures, however good the diffusion."""
    model, path = LinearAutoencoder.fit(PICTURES, 4), RectifiedFlow()
    noise = torch.randn(6000, 4, 1, 1, generator=gen(5), dtype=torch.float64)
    z = ddim_sample(normal_denoiser(path, model.variances), path, noise, 200)
    drawn = model.decode(z).flatten(1)
    want = (model.directions * model.variances) @ model.directions.T
    scale = want.diagonal().max()
    assert (torch.cov(drawn.T) - want).abs().max() < 0.06 * scale
    assert (drawn.mean(0) - model.mean.flatten()).abs().max() < 4 * math.sqrt(scale / 6000)


def test_bad_input_is_refused() -> None:
    with rejects("k"):
        LinearAutoencoder.fit(PICTURES, 60)
    with rejects("z"):
        LinearAutoencoder.fit(PICTURES, 2).decode(torch.zeros(1, 2, 2, 1))
