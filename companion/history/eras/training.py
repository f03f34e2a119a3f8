r"""Four generative models trained on one budget of operations, on the same digits: VAE, GAN, GPT, diffusion (2013 to 2020).

Each function builds one model for the 14×14 digits of `companion.history.eras.digits` and trains it until its share of
floating-point operations is spent. With c the operations of one update, counted by PyTorch in one forward and one backward
pass (for the GAN: of both players), an era gets (eq-eras-steps)

.. math:: n = \lfloor C / c \rfloor

updates. C is the same for all. What is compared are the four *ideas*, each with a small network of today's making: the first
VAE and GAN had none of the optimisers and norms that are used here, GPT's block is today's (`pixel_gpt`), and the diffusion
model predicts bits where that of 2020 predicted noise. Operations on single numbers (activations, norms, the
optimiser) are not counted, nor is sampling.

Sources: Kingma & Welling, arXiv:1312.6114; Goodfellow et al., arXiv:1406.2661; Radford et al., 2018; Ho, Jain & Abbeel,
arXiv:2006.11239.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.diffusion.ddpm import ancestral_sample
from companion.diffusion.paths import cosine_schedule, q_sample
from companion.diffusion.prediction import Denoiser, as_denoiser
from companion.foundations.elbo import elbo_loss
from companion.foundations.gan import (
    GANConfig,
    StandardCritic,
    critic_backward,
    generator_backward,
    non_saturating_loss,
    train_gan,
)
from companion.foundations.vae import BernoulliLikelihood, mlp_vae
from companion.history.eras.digits import PIXELS, SIDE, as_bits, from_bits
from companion.history.eras.pixel_gpt import PixelGPT, PixelGPTConfig, pixel_gpt_loss
from companion.metrics.flops import count_flops
from companion.nn.timestep import timestep_embedding
from companion.training import TrainConfig, train
from companion.training.random import randint, randn
from companion.validate import Count, check_number, checked

Images = Float[Tensor, "n 1 14 14"]
GAN_LATENT = 32
SCHEDULE = cosine_schedule(100)


@dataclass(frozen=True)
class Era:
    """A trained model and what it cost.

    Attributes:
        name: of the idea.
        year: in which it was published.
        model: the network (of a GAN: the generator).
        sample: ``sample(n, generator)``, n images in [-1, 1], shape (n, 1, 14, 14).
        batch_size: images in one update.
        step_flops: operations of one update.
        steps: updates made.
        seconds: of the training.
    """

    name: str
    year: int
    model: nn.Module
    sample: Callable[[int, torch.Generator], Images]
    batch_size: int
    step_flops: int
    steps: int
    seconds: float

    @property
    def flops(self) -> int:
        return self.step_flops * self.steps


@checked
def steps_for(budget: float, step_flops: Count) -> int:
    """How many whole updates a budget of operations allows (eq-eras-steps).

    Raises:
        ValueError: it is less than one takes.
    """
    check_number("budget", budget, low=step_flops)
    return int(budget // step_flops)


def _fit(
    model: nn.Module, loss: Callable, data: Tensor, budget: float, *, batch_size: int, **how
) -> tuple[nn.Module, int, int, int, float]:
    """Count one update on a copy, then train for as many as the budget allows."""
    trial, batch = copy.deepcopy(model), data[:batch_size]
    step_flops = count_flops(lambda: loss(trial, (batch,), torch.Generator().manual_seed(0)).backward())
    steps = steps_for(budget, step_flops)
    result = train(model, loss, (data,), TrainConfig(steps=steps, batch_size=batch_size, **how))
    return result.model, batch_size, step_flops, steps, result.seconds


@checked
def train_vae(images: Images, budget: float, seed: int) -> Era:
    """2013: bits to 8 numbers and back, by the bound on the likelihood (`companion.foundations.elbo`)."""
    torch.manual_seed(seed)
    net = mlp_vae(PIXELS, 8, BernoulliLikelihood(), (300, 300)).to(images.device)
    net, *cost = _fit(net, elbo_loss, as_bits(images), budget, batch_size=128, lr=2e-3, ema=0.998, seed=seed)
    return Era("VAE", 2013, net, lambda n, generator: from_bits(net.sample(n, generator)), *cost)


def gan_players() -> tuple[nn.Module, nn.Module]:
    """A generator of 32 random numbers to an image, and a discriminator of images to one score."""
    G = nn.Sequential(
        nn.Linear(GAN_LATENT, 256), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, PIXELS), nn.Tanh(), nn.Unflatten(1, (1, SIDE, SIDE)),
    )  # fmt: skip
    D = nn.Sequential(
        nn.Flatten(),
        nn.Linear(PIXELS, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 1),
    )
    return G, D


@checked
def train_gan_era(images: Images, budget: float, seed: int) -> Era:
    """2014: a generator against a discriminator (`companion.foundations.gan`), with the R1 penalty of 2018."""
    torch.manual_seed(seed)
    G, D = (player.to(images.device) for player in gan_players())
    critic, batch = StandardCritic(gamma=0.5), 64

    def a_round() -> None:
        g, d, generator = copy.deepcopy(G), copy.deepcopy(D), torch.Generator().manual_seed(0)
        z = randn((batch, GAN_LATENT), generator, images)
        critic_backward(g, d, images[:batch], z, critic, generator)
        generator_backward(g, d, z, non_saturating_loss)

    step_flops = count_flops(a_round)
    steps = steps_for(budget, step_flops)
    how = {"steps": steps, "batch_size": batch, "betas": (0.0, 0.99), "weight_decay": 0.0, "seed": seed}
    config = GANConfig(TrainConfig(lr=3e-3, ema=0.998, **how), TrainConfig(lr=3e-3, **how), latent=GAN_LATENT)
    started = time.perf_counter()
    G = train_gan(G, D, _draw(images), critic, non_saturating_loss, config).G

    @torch.no_grad()
    def sample(n: int, generator: torch.Generator) -> Images:
        return G(randn((n, GAN_LATENT), generator, next(G.parameters())))

    return Era("GAN", 2014, G, sample, batch, step_flops, steps, time.perf_counter() - started)


@checked
def train_gpt(images: Images, budget: float, seed: int) -> Era:
    """2018: the image as a text of 49 letters (`companion.history.eras.pixel_gpt`)."""
    torch.manual_seed(seed)
    net = PixelGPT(PixelGPTConfig()).to(images.device)
    net, *cost = _fit(net, pixel_gpt_loss, images, budget, batch_size=16, lr=4e-3, ema=0.995, seed=seed)
    return Era("GPT", 2018, net, net.sample, *cost)


class BitNet(nn.Module):
    r"""Predict data that are bits: :math:`\hat x_0 = \tanh(\ell)` (eq-eras-tanh), with the logits 2ℓ of ink from a network of
    three residual layers.

    For a pixel that is -1 or 1 with equal odds, seen through the noise, Bayes' rule gives
    :math:`\ell = \sqrt{\bar\alpha_t}\, x_t / (1 - \bar\alpha_t)`. This much is added to what the network says, so that it has
    only the other pixels' evidence to learn.
    """

    def __init__(self, width: int = 384, layers: int = 3, embedding: int = 64) -> None:
        super().__init__()
        self.embedding = embedding
        self.first = nn.Linear(PIXELS + embedding, width)
        self.hidden = nn.ModuleList(nn.Linear(width + embedding, width) for _ in range(layers))
        self.last = nn.Linear(width, PIXELS)

    def logits(self, x: Images, t: Int[Tensor, "n"]) -> Images:
        """ℓ, half the logit of ink, for each pixel."""
        step = timestep_embedding(10 * t, self.embedding)
        h = F.silu(self.first(torch.cat([x.flatten(1), step], 1)))
        for layer in self.hidden:
            h = h + F.silu(layer(torch.cat([h, step], 1)))
        share = SCHEDULE.at(SCHEDULE.alpha_bar, t, x)
        return self.last(h).reshape_as(x) + share.sqrt() / (1 - share).clamp(min=0.02) * x

    def forward(self, x: Images, t: Int[Tensor, "n"]) -> Images:
        return torch.tanh(self.logits(x, t))


def bit_denoiser(net: BitNet) -> Denoiser:
    """The network as the sampler and the bound take it."""
    return as_denoiser(net, SCHEDULE, "x0")


def bit_loss(net: BitNet, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """Draw a step and noise for each image; the cross-entropy of its true bits, a mean over pixels.

    Ho et al. take the squared error of the noise (`companion.diffusion.losses`). With it a short training
    neglects the steps of much noise, which decide what the image will be.
    """
    (x0,) = batch
    t = SCHEDULE.random_times(len(x0), generator, x0)
    noise = randn(x0.shape, generator, x0)
    logits = 2 * net.logits(q_sample(SCHEDULE, x0, t, noise), t)
    return F.binary_cross_entropy_with_logits(logits, (x0 + 1) / 2)


@checked
def train_diffusion(images: Images, budget: float, seed: int) -> Era:
    """2020: a network that predicts what is under the noise, and a hundred steps back (`companion.diffusion.ddpm`)."""
    torch.manual_seed(seed)
    net = BitNet().to(images.device)
    net, *cost = _fit(net, bit_loss, images, budget, batch_size=64, lr=2e-3, ema=0.995, seed=seed)

    def sample(n: int, generator: torch.Generator) -> Images:
        noise = randn((n, 1, SIDE, SIDE), generator, net.last.weight)
        return ancestral_sample(bit_denoiser(net), SCHEDULE, noise, generator)

    return Era("Diffusion", 2020, net, sample, *cost)


def _draw(images: Tensor) -> Callable[[int, torch.Generator], tuple[Tensor]]:
    return lambda n, generator: (images[randint(len(images), (n,), generator, images)],)
