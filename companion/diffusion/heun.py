r"""Heun's method: a step with the mean of the predictions at its two ends, an error of second order.

Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv:2206.00364, algorithm 1, written for
every path. The data and the noise in x_t move x by :math:`dx = \hat x_0\, d\alpha + \hat\epsilon\, d\sigma` (eq-path-ode).
Euler's step, which is `ddim_step`, keeps both; Heun's takes it on trial to x', asks again there, and uses the means:

.. math::

    x_s = x_t + (\alpha_s - \alpha_t)\, \tfrac12 (\hat x_0 + \hat x_0')
    + (\sigma_s - \sigma_t)\, \tfrac12 (\hat\epsilon + \hat\epsilon')

(eq-heun). On a straight path this averages velocities; where t is the noise level, it is the paper's step. The last step ends
at the data, where there is no noise to be asked for, and is Euler's: n steps take 2n - 1 calls. Departure: no fresh noise
("churn", algorithm 2).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.ddim import ddim_step
from companion.diffusion.paths import Path, Times, time_pairs
from companion.diffusion.prediction import Denoiser, widened_state
from companion.validate import Finite, checked


@torch.no_grad()
@checked
def heun_sample(denoiser: Denoiser, path: Path, x: Finite[Tensor, "n ..."], times: Times) -> Float[Tensor, "n ..."]:
    """From noise at the first time to data (eq-heun); ``times`` as for `companion.diffusion.ddim.ddim_sample`."""
    dtype, (denoiser, x) = x.dtype, widened_state(denoiser, path, x)
    for t, s in time_pairs(path, times, x):
        here = denoiser(x, t)
        trial = ddim_step(path, here, t, s)
        if bool((s == path.data).all()):
            return trial.to(dtype)
        there = denoiser(trial, s)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = path.alpha_sigma(t, x), path.alpha_sigma(s, x)
        x = x + (alpha_s - alpha_t) * (here.x0 + there.x0) / 2 + (sigma_s - sigma_t) * (here.eps + there.eps) / 2
    return x.to(dtype)
