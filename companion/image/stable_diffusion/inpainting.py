r"""Filling a hole with any denoiser: outside, the answer is known; and steps are taken again, so that the inside can follow.

Avrahami, Fried & Lischinski, "Blended Latent Diffusion", 2022, arXiv:2206.02779, blend what is known in at each step. Here the
denoiser's answer is replaced, m being 1 in the hole and z the given latents:

- :math:`\hat z_0 \leftarrow m\, \hat z_0 + (1 - m)\, z` (eq-sd-inpaint)

and the noise is what then is left of z_t, so outside each step ends exactly on the path of the given picture.

Inside, each step is decided before the denoiser has seen how it meets the rest. So Lugmayr et al., "RePaint", 2022,
arXiv:2201.09865, section 4.2, take steps again, that the two be fitted: from the later time s back to t, with fresh noise,

- :math:`z_t = r z_s + \sqrt{\sigma_t^2 - r^2 \sigma_s^2}\; \epsilon, \quad r = \alpha_t / \alpha_s` (eq-sd-again)

and forth once more. What was found meanwhile, outside and inside, stays in part. Departure: one step is gone back, not ten.
"""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from companion.diffusion.ddim import ddim_step
from companion.diffusion.paths import Path, Times, time_pairs
from companion.diffusion.prediction import Denoiser, Prediction, to_prediction
from companion.training.random import randn
from companion.validate import Count, Finite, checked


@checked
def keep_outside(
    denoiser: Denoiser,
    path: Path,
    hole: Bool[Tensor, "n 1 rows columns"],
    z: Float[Tensor, "n channels rows columns"],
) -> Denoiser:
    """A denoiser that knows the latents outside the hole (eq-sd-inpaint)."""

    def knowing(z_t: Tensor, t: Tensor) -> Prediction:
        found = torch.where(hole, denoiser(z_t, t).x0, z)
        return to_prediction(path, "x0", z_t, t, found)

    return knowing


@torch.no_grad()
@checked
def sample_again(
    denoiser: Denoiser, path: Path, x: Finite[Tensor, "n ..."], times: Times, rounds: Count, generator: Generator
) -> Float[Tensor, "n ..."]:
    """DDIM without noise of its own, each step taken ``rounds`` times, with a way back between (eq-sd-again).

    Args:
        denoiser: what is in noisy data.
        path: from data to noise.
        x: where to begin.
        times: from the first to the last, as for `companion.diffusion.ddim.ddim_sample`.
        rounds: 1 gives that sampler.
        generator: of the noise on the ways back.
    """
    for t, s in time_pairs(path, times, x):
        for _ in range(rounds - 1):
            x = _back(path, ddim_step(path, denoiser(x, t), t, s), s, t, generator)
        x = ddim_step(path, denoiser(x, t), t, s)
    return x


def _back(path: Path, x: Tensor, s: Tensor, t: Tensor, generator: Generator) -> Tensor:
    """From the time s to t, which is further from the data (eq-sd-again)."""
    (alpha_s, sigma_s), (alpha_t, sigma_t) = path.alpha_sigma(s, x), path.alpha_sigma(t, x)
    r = alpha_t / alpha_s
    return r * x + (sigma_t**2 - (r * sigma_s) ** 2).clamp(min=0).sqrt() * randn(x.shape, generator, x)
