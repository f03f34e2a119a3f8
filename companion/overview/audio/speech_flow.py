r"""A conditional flow-matching model of spectrograms in a space of principal components, told which digit to say.

A log-mel spectrogram has thousands of numbers that move together. `Components` describes it by the few directions in which
the training clips differ most; `SpeechFlow` learns the distribution of these few numbers.

- components (eq-components): :math:`z = V^\top (M - \bar M) / s`, and back :math:`M \approx \bar M + s V z`
- loss (eq-speech-flow): :math:`E \| v_\theta(x_t, t, d) - (z - \epsilon) \|^2` with :math:`x_t = (1 - t)\,\epsilon + t\,z`

Flow matching is Lipman et al., arXiv:2210.02747, here from `companion.diffusion`. Modelling in a compressed
space follows the latent diffusion of Rombach et al., arXiv:2112.10752; theirs is a learned autoencoder, ours linear.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.diffusion.heun import heun_sample
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.prediction import as_denoiser
from companion.foundations.pca import PCA, fit_pca
from companion.training.random import randn
from companion.validate import Count, Finite, check_count, check_labels, checked

FLOW = RectifiedFlow()
# For batches of (components, digits): a mean over examples and components (eq-speech-flow).
speech_loss = DenoisingLoss(FLOW, "velocity")


@dataclass(frozen=True)
class Components:
    """The principal components of a set of spectrograms, all divided by one number, so that distances keep their meaning.

    Attributes:
        pca: of the flattened spectrograms.
        shape: of one spectrogram, (mels, frames).
        k: how many components are kept.
        scale: s, the standard deviation along the first.
        least: what decoded values are raised to: the floor of the training spectrograms.
    """

    pca: PCA
    shape: tuple[int, int]
    k: int
    scale: float
    least: float

    @property
    def mean(self) -> Float[Tensor, "mels frames"]:
        """The mean spectrogram."""
        return self.pca.mean.view(self.shape)

    def to(self, device: torch.device | str) -> "Components":
        """The same components on another device."""
        pca = PCA(*(part.to(device) for part in (self.pca.mean, self.pca.eigenvalues, self.pca.axes)))
        return replace(self, pca=pca)

    @checked
    def encode(self, bands: Float[Tensor, "n mels={self.shape[0]} frames={self.shape[1]}"]) -> Float[Tensor, "n k"]:
        """The coordinates of spectrograms (eq-components)."""
        return self.pca.encode(bands.flatten(1), self.k) / self.scale

    @checked
    def decode(self, z: Float[Tensor, "n {self.k}"]) -> Float[Tensor, "n mels frames"]:
        """The spectrograms at these coordinates (eq-components), no quieter than the quietest of training."""
        return self.pca.decode(z * self.scale).unflatten(1, self.shape).clamp(min=self.least)


@checked
def fit_components(bands: Finite[Tensor, "n mels frames"], k: int) -> Components:
    """The ``k`` directions in which the spectrograms vary most."""
    check_count("k", k, high=min(len(bands) - 1, bands[0].numel()))
    pca = fit_pca(bands.flatten(1))
    scale = float(pca.encode(bands.flatten(1), 1).std())
    if scale == 0:
        raise ValueError("bands: got spectrograms that are all alike, wanted some that differ")
    return Components(pca, tuple(bands.shape[1:]), k, scale, float(bands.min()))


class SpeechFlow(nn.Module):
    """v(x, t, digit): which way a point in the space of components moves at time t, for that digit.

    Residual layers; time and digit enter each of them.

    Args:
        k: components.
        classes: how many digits or words there are to choose from.
        width: units of a layer.
        depth: residual layers.
    """

    @checked
    def __init__(self, k: Count, classes: Count = 10, *, width: Count = 256, depth: Count = 3) -> None:
        super().__init__()
        self.k, self.classes = k, classes
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(4), persistent=False)
        self.word = nn.Embedding(classes, width)
        self.time = nn.Linear(1 + 2 * 4, width)
        self.enter = nn.Linear(k, width)
        self.told = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.leave = nn.Linear(width, k)

    @checked
    def forward(
        self, x: Float[Tensor, "n {self.k}"], t: Float[Tensor, "n"], digit: Int[Tensor, "n"]
    ) -> Float[Tensor, "n k"]:
        check_labels("digit", digit, self.classes)
        angles = t[:, None] * self.frequencies
        told = nn.functional.silu(self.word(digit) + self.time(torch.cat([t[:, None], angles.sin(), angles.cos()], 1)))
        h = self.enter(x)
        for layer, tell in zip(self.layers, self.told, strict=True):
            h = h + layer(h + tell(told))
        return self.leave(h)


@torch.no_grad()
@checked
def speak(
    model: SpeechFlow, components: Components, digit: Int[Tensor, "n"], generator: torch.Generator, *, steps: Count = 20
) -> Float[Tensor, "n mels frames"]:
    """New log-mel spectrograms of these digits: noise, carried along the velocity, decoded."""
    noise = randn((len(digit), model.k), generator, components.mean)
    denoiser = as_denoiser(lambda x, t: model(x, t, digit), FLOW, "velocity")
    return components.decode(heun_sample(denoiser, FLOW, noise, steps))
