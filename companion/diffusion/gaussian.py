r"""Gaussian data: the exact denoiser and the exact end of every path, to hold networks and samplers against.

If the data follow N(m, s² I), then x_t follows :math:`N(\alpha_t m, (\alpha_t^2 s^2 + \sigma_t^2) I)`, and given x_t

- :math:`E[x_0 \mid x_t] = m + \frac{\alpha_t s^2}{\alpha_t^2 s^2 + \sigma_t^2} (x_t - \alpha_t m)`,
  :math:`E[\epsilon \mid x_t] = \frac{\sigma_t}{\alpha_t^2 s^2 + \sigma_t^2} (x_t - \alpha_t m)` (eq-gaussian-denoiser)
- without fresh noise x_t moves so that its distance from :math:`\alpha_t m` stays the same in standard deviations: from t to
  s it is multiplied by :math:`\sqrt{(\alpha_s^2 s^2 + \sigma_s^2) / (\alpha_t^2 s^2 + \sigma_t^2)}` (eq-realtime-gaussian)

For any data, score and velocity are one field (eq-velocity-score): :math:`v(x, t) = (x + (1 - t)\, \nabla \log p_t(x)) / t`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.paths import Path, Time, for_each
from companion.diffusion.prediction import Denoiser, Prediction
from companion.validate import Positive, checked


@checked
def gaussian_denoiser(path: Path, std: Positive, mean: float | Tensor = 0.0) -> Denoiser:
    """The best denoiser of data that are N(mean, std²) (eq-gaussian-denoiser); ``mean`` may have an example's shape."""

    def denoiser(x_t: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = path.alpha_sigma(t, x_t)
        apart = (x_t - alpha * mean) / (alpha**2 * std**2 + sigma**2)
        return Prediction(mean + alpha * std**2 * apart, sigma * apart)

    return denoiser


@checked
def gaussian_factor(path: Path, std: Positive, t: Time, s: Time) -> float:
    """By what the exact path from time t to s multiplies data that are N(0, std²) (eq-realtime-gaussian)."""
    one = torch.ones(1, dtype=torch.float64)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (path.alpha_sigma(for_each(time, one), one) for time in (t, s))
    return float(((alpha_s**2 * std**2 + sigma_s**2) / (alpha_t**2 * std**2 + sigma_t**2)).sqrt())


@checked
def velocity_from_score(
    x: Float[Tensor, "n d"], t: Float[Tensor, "n"], score: Float[Tensor, "n d"]
) -> Float[Tensor, "n d"]:
    """The velocity on a straight path from the score of p_t at the same points, for t above 0 (eq-velocity-score)."""
    if not (t > 0).all():
        raise ValueError(f"t: got {float(t.min()):g} as the least time, wanted all above 0")
    return (x + (1 - t[:, None]) * score) / t[:, None]
