r"""A Gaussian likelihood that takes its sigma from the pictures: the calibrated decoder.

Rybkin, Daniilidis & Levine, "Simple and Effective VAE Training with Calibrated Decoders", arXiv:2006.13202 (sigma-VAE). Of all
sigma the one that makes a batch likeliest around the decoder's answers :math:`\hat x` is

.. math:: \sigma^2 = \frac1D |x - \hat x|^2

averaged over the batch (eq-vae-sigma), D numbers a picture. There the derivative of the likelihood in sigma is zero, so the
gradient in the decoder is that of a Gaussian whose sigma happens to be right; no gradient need pass through it.

Departure: the paper uses the batch's sigma for evaluation too. Here evaluation uses a running mean of the variance, so that
what the bound says of a picture does not depend on its company.
"""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.foundations.distributions.families import LOG_2PI
from companion.foundations.vae import sum_per_example
from companion.training.precision import widened
from companion.validate import Positive, Range, checked

LEAST = 1e-8  # of sigma^2: an exact reconstruction has no best sigma


class CalibratedGaussian(nn.Module):
    """p(x | z) = N(x; output, sigma^2 I), sigma the batch's best in training mode and its running mean in evaluation mode.

    Args:
        sigma: before training.
        decay: of the running mean of sigma^2.
    """

    @checked
    def __init__(self, sigma: Positive = 1.0, decay: Annotated[float, Range(0, 1)] = 0.95) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("variance", torch.tensor(sigma**2))

    @property
    def sigma(self) -> Float[Tensor, ""]:
        return self.variance.sqrt()

    def check(self, x: Tensor) -> None:
        """Any finite number may be an observation."""

    def log_prob(self, output: Float[Tensor, "batch *data"], x: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch"]:
        """log p(x | z) in nats an example; in training mode the batch's error becomes the variance first (eq-vae-sigma)."""
        if output.shape != x.shape:
            raise ValueError(f"x: got shape {tuple(x.shape)}, wanted the decoder's {tuple(output.shape)}")
        square = (widened(x) - widened(output)).square()
        variance = widened(self.variance)
        if self.training:
            variance = square.detach().mean().clamp(min=LEAST)
            if not torch.isfinite(variance):
                raise ValueError("x or the decoder's output: got NaN or infinite values, wanted finite numbers")
            self.variance.lerp_(variance.to(self.variance), 1 - self.decay)
        return sum_per_example(-0.5 * (LOG_2PI + variance.log() + square / variance))

    def mean(self, output: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch *data"]:
        return output
