"""A small model that draws painted digits on request: a VAE's codes, and a flow over them that is told the digit.

It is told the digit and never the ink: what it draws blue, it draws blue because blue went with the digit in its data. The
flow is trained with a tenth of the labels dropped, so that it can be guided (`companion.diffusion.guidance`), over all of the
path from noise to code or over its later part only (`draw_painted_digits`, ``guide_from``).

Sources: the latent model is that of Rombach et al., arXiv:2112.10752, in miniature; guidance in an interval of the path is
Kynkäänniemi et al., arXiv:2404.07724, who recommend it for quality and variety.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.diffusion.guidance import guided
from companion.diffusion.heun import heun_sample
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.prediction import as_denoiser
from companion.foundations.elbo import elbo_loss
from companion.foundations.vae import VAE, GaussianLikelihood
from companion.image.ddpm import NO_LABEL
from companion.nn.point_mlp import TimedPointMLP
from companion.training import TrainConfig, train
from companion.training.random import multinomial, randn
from companion.validate import Count, Share, checked

LATENT = 20
FLOW = RectifiedFlow()
LOSS = DenoisingLoss(FLOW, "velocity", drop=0.1, null=NO_LABEL)


@dataclass(frozen=True)
class Codec:
    """A trained VAE whose codes are shifted and scaled to a mean of 0 and a spread of 1."""

    vae: VAE
    mean: Float[Tensor, "latent"]
    spread: Float[Tensor, ""]

    @torch.no_grad()
    def codes(self, images: Float[Tensor, "n 3 28 28"]) -> Float[Tensor, "n latent"]:
        return (self.vae.encode(images.flatten(1)).mean - self.mean) / self.spread

    @torch.no_grad()
    def images(self, codes: Float[Tensor, "n latent"]) -> Float[Tensor, "n 3 28 28"]:
        return self.vae.decode(codes * self.spread + self.mean).clamp(-1, 1).view(-1, 3, 28, 28)


def untrained_vae(hidden: int = 256) -> VAE:
    """One hidden layer each way; the decoder's tanh keeps pixels in [-1, 1]."""
    pixels = 3 * 28 * 28
    encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.GELU(), nn.Linear(hidden, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, hidden), nn.GELU(), nn.Linear(hidden, pixels), nn.Tanh())
    return VAE(encoder, decoder, GaussianLikelihood(0.7), (pixels,), (LATENT,))


@checked
def fit_codec(images: Float[Tensor, "n 3 28 28"], config: TrainConfig) -> Codec:
    """Train the VAE; it sees neither digit nor ink."""
    flat = images.flatten(1)
    vae = train(untrained_vae().to(flat.device), elbo_loss, (flat,), config).model
    with torch.no_grad():
        mean = vae.encode(flat).mean
    return Codec(vae, mean.mean(0), (mean - mean.mean(0)).std())


class LabelledVelocity(nn.Module):
    """The velocity of a code at a time, told the digit or `NO_LABEL`."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.net = TimedPointMLP(LATENT + NO_LABEL + 1, LATENT, width=width, depth=3)

    def forward(
        self, x: Float[Tensor, "n latent"], t: Float[Tensor, "n"], labels: Int[Tensor, "n"]
    ) -> Float[Tensor, "n latent"]:
        return self.net(torch.cat([x, F.one_hot(labels, NO_LABEL + 1).to(x)], 1), t)


@checked
def fit_flow(
    codes: Float[Tensor, "n latent"],
    labels: Int[Tensor, "n"],
    config: TrainConfig,
    *,
    weights: Float[Tensor, "n"] | None = None,
) -> LabelledVelocity:
    """Train the velocity on codes with their digits, each drawn as often as its weight says (all alike if none)."""
    chance = torch.ones(len(codes)) if weights is None else weights.float().cpu()

    def draw_batch(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = multinomial(chance, n, generator, replacement=True).to(codes.device)
        return codes[rows], labels[rows]

    return train(LabelledVelocity().to(codes.device), LOSS, draw_batch, config).model


@checked
def draw_painted_digits(
    codec: Codec,
    velocity: LabelledVelocity,
    labels: Int[Tensor, "n"],
    generator: torch.Generator,
    *,
    scale: float = 1.0,
    guide_from: Share = 0.0,
    steps: Count = 12,
) -> Float[Tensor, "n 3 28 28"]:
    """A painted digit for each label.

    Args:
        scale: guidance w; 1 is none.
        guide_from: guide only once so much of the way from noise (0) to code (1) is behind; 0 guides everywhere.
        steps: Heun's, two evaluations of the network each, but one in the last.
    """
    net = guided(velocity, labels, scale, null=NO_LABEL, interval=(guide_from, FLOW.data))
    noise = randn((len(labels), LATENT), generator, codec.mean)
    return codec.images(heun_sample(as_denoiser(net, FLOW, "velocity"), FLOW, noise, steps))
