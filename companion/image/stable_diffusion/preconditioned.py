r"""A denoiser that begins as the best linear one: the network says only what a line cannot.

Karras et al., 2022, arXiv:2206.00364, section 5, written for every path, and for channels that spread unlike each other, as
those of latents do. With s the spread of a channel and :math:`q = \alpha_t^2 s^2 + \sigma_t^2` the variance of its noisy
numbers,

- :math:`\hat x_0 = \frac{\alpha_t s^2}{q} z_t + \frac{\sigma_t s}{\sqrt q} F(z_t / \sqrt q, t, c)` (eq-sd-preconditioned)

The first part is the best guess if all numbers were normal and independent (`companion.diffusion.gaussian`), the factor of the
second is the error that it makes. So the network F sees numbers that spread by 1 and is asked for numbers that do; with a last
layer of zeros, training begins at the best line. Trained with the loss of the velocity, an error counts :math:`s / \sqrt q`: a
channel of little spread counts little, as it does in the picture.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.diffusion.paths import Path
from companion.image.stable_diffusion.unet import TextUNet
from companion.validate import Finite, checked


class Preconditioned(nn.Module):
    """Predict the latents in noisy ones, told a time and a text (eq-sd-preconditioned).

    Args:
        inner: F, untrained; its last layer is set to zeros.
        path: from latents to noise.

    Attributes:
        spread: s of each channel; set by `measure`, kept with the weights.
    """

    def __init__(self, inner: TextUNet, path: Path) -> None:
        super().__init__()
        self.inner, self.path = inner, path
        self.register_buffer("spread", torch.ones(inner.config.channels))
        nn.init.zeros_(inner.conv_out.weight)
        nn.init.zeros_(inner.conv_out.bias)

    @checked
    def measure(self, latents: Finite[Tensor, "n channels={self.inner.config.channels} rows columns"]) -> None:
        """Take the spread of each channel from training latents, about 0: s² is the mean square."""
        self.spread.copy_(latents.float().square().mean((0, 2, 3)).sqrt())

    def forward(
        self,
        z_t: Float[Tensor, "n channels rows columns"],
        t: Float[Tensor, "n"],
        states: Float[Tensor, "n words width"],
        mask: Bool[Tensor, "n words"] | None = None,
    ) -> Float[Tensor, "n channels rows columns"]:
        """The predicted latents, "x0" in `companion.diffusion.prediction.KINDS`; arguments as for `TextUNet`."""
        alpha, sigma = self.path.alpha_sigma(t, z_t)
        s = self.spread[:, None, None]
        q = alpha**2 * s**2 + sigma**2
        return alpha * s**2 / q * z_t + sigma * s / q.sqrt() * self.inner(z_t / q.sqrt(), t, states, mask)
