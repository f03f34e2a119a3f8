r"""2020: a diffusion model of grey pictures, and its bound on their probability.

Ho, Jain & Abbeel, arXiv:2006.11239, with the schedule of Nichol & Dhariwal, arXiv:2102.09672, in `STEPS` steps. The network
predicts v (Salimans & Ho, arXiv:2202.00512) of the picture as if its greys were numbers (`companion.diffusion`).

The bound (their equation 5) in the form that Kingma et al., arXiv:2107.00630, gave it: a step's divergence is the squared error
of the predicted picture times what the step gains of signal over noise, SNR = ᾱ/(1 - ᾱ), and the last step gives each grey a
probability (eq-eras-mass):

.. math:: -\log P(x) \le L_T + \sum_{t=l+1}^{T-1} \tfrac12 \big(\mathrm{SNR}_{t-1} - \mathrm{SNR}_t\big)
          E |x - \hat x(x_t, t)|^2 - E \log P(x \mid \hat x(x_l, l))

(eq-eras-steps-bound). The chain ends at step l = `LAST`, where the noise (0.21) is less than half the distance of two greys
(0.33): what is left is rounding, which the last step does at once; steps to the very end would measure how well the network
predicts noise that no grey shows. ``draws`` of the sum's terms are drawn for each picture, one from each of as many equal
ranges of t, and stand for their range, so that the mean stays the same. Departures: `LAST`, and the width of the last step's
distribution, which is chosen on training pictures (`fit_width`).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import cosine_schedule, q_sample
from companion.diffusion.prediction import Denoiser, as_denoiser
from companion.history.eras.grey import SIDE, Pictures, log_mass
from companion.nn.unet import UNet, UNetConfig
from companion.training.random import randint, randn
from companion.validate import Count, check_count, checked

BATCH = 8
STEPS, LAST = 100, 12
SCHEDULE = cosine_schedule(STEPS)
WIDTHS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.12)
diffusion_loss = DenoisingLoss(SCHEDULE, "v")


class GreyUNet(nn.Module):
    """A U-Net that sees 2×2 pixels as the channels of one; with 16 and 32 channels it has 165 thousand weights."""

    def __init__(self, widths: tuple[int, ...] = (16, 32)) -> None:
        super().__init__()
        self.net = UNet(UNetConfig(4, 4, widths=widths, attention=(False,) * len(widths)))
        # The width of the last step, which only the bound knows.
        self.register_buffer("width", torch.tensor(0.05))

    def forward(self, x: Pictures, t: Int[Tensor, "n"]) -> Pictures:
        """v at each pixel; the step is told in thousandths, for which the network's embedding is made."""
        return pixel_shuffle(self.net(pixel_unshuffle(x, 2), t * (1000 // STEPS)), 2)

    @property
    def denoiser(self) -> Denoiser:
        return as_denoiser(self, SCHEDULE, "v", clip=1.0)

    @checked
    def draw(self, n: Count, generator: torch.Generator, steps: Count = 25) -> Pictures:
        """n pictures, by every fourth step with the fresh noise of 2020; as good as by all hundred here."""
        noise = randn((n, 1, SIDE, SIDE), generator, next(self.parameters()))
        return ddim_sample(self.denoiser, SCHEDULE, noise, steps, generator, eta=1.0)

    @torch.no_grad()
    def fit_width(self, images: Pictures, generator: torch.Generator) -> "GreyUNet":
        """Choose the last step's width of `WIDTHS` on these pictures, which are not those that are measured."""
        mean = _last_mean(self.denoiser, images, generator)
        best = min(WIDTHS, key=lambda w: -float(log_mass(images, mean, torch.tensor(w).log().to(mean)).mean()))
        self.width.fill_(best)
        return self

    @torch.no_grad()
    def bound(self, images: Pictures, generator: torch.Generator, draws: int = 29) -> Float[Tensor, "n"]:
        """An upper bound on -log P of each picture in nats (eq-eras-steps-bound); right in the mean over pictures."""
        steps = step_nats(self.denoiser, images, generator, draws)
        last = log_mass(images, _last_mean(self.denoiser, images, generator), self.width.log())
        return prior_nats(images) + steps - last


@checked
def step_nats(
    denoiser: Denoiser, x: Float[Tensor, "n 1 28 28"], generator: torch.Generator, draws: Count, last: int = LAST
) -> Float[Tensor, "n"]:
    """The sum over t in the bound, from ``draws`` of its terms for each picture.

    Raises:
        ValueError: a number of draws that does not divide that of the steps, `STEPS` - 1 - ``last``.
    """
    steps = STEPS - 1 - last
    check_count("draws", draws, high=steps)
    if steps % draws:
        raise ValueError(f"draws: got {draws}, wanted a divisor of {steps}")
    snr = (SCHEDULE.alpha_bar / (1 - SCHEDULE.alpha_bar)).to(x.dtype)
    gain = torch.cat([torch.zeros(1, dtype=x.dtype), (snr[:-1] - snr[1:]) / 2])
    size, total = steps // draws, torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for first in range(last + 1, STEPS, size):
        t = first + randint(size, (len(x),), generator, x)
        x_t = q_sample(SCHEDULE, x, t, randn(x.shape, generator, x))
        total += size * gain.to(x.device)[t] * (denoiser(x_t, t).x0 - x).square().flatten(1).sum(1)
    return total


def prior_nats(x: Pictures) -> Float[Tensor, "n"]:
    """L_T: what is left of the picture where the sampler begins, KL(q(x_T | x) || N(0, I))."""
    left = float(SCHEDULE.alpha_bar[-1])
    return 0.5 * (left * x.square() - left - math.log1p(-left)).flatten(1).sum(1)


def _last_mean(denoiser: Denoiser, x: Pictures, generator: torch.Generator) -> Pictures:
    t = torch.full((len(x),), LAST, device=x.device)
    return denoiser(q_sample(SCHEDULE, x, t, randn(x.shape, generator, x)), t).x0
