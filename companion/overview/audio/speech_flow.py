r"""A small generative model of spectrograms, told which digit to say: flow matching in a space of principal components.

A log-mel spectrogram has thousands of numbers that move together. `Components` describes it by the few directions in which
the training clips differ most; `SpeechFlow` learns the distribution of these few numbers.

- components (eq-components): :math:`z = V^\top (M - \bar M) / s`, and back :math:`M \approx \bar M + s V z`
- loss (eq-speech-flow): :math:`E \| v_\theta(x_t, t, d) - (z - \epsilon) \|^2` with :math:`x_t = (1 - t)\,\epsilon + t\,z`

Flow matching is Lipman et al., arXiv:2210.02747, here from `companion.diffusion.flow_matching`. Modelling in a compressed
space follows the latent diffusion of Rombach et al., arXiv:2112.10752; theirs is a learned autoencoder, ours linear.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.diffusion.flow_matching import flow_matching_loss, heun
from companion.training.batches import Batch
from companion.training.random import randn
from companion.validate import check_count, check_float, check_labels, check_shapes


@dataclass(frozen=True)
class Components:
    """The principal components of a set of spectrograms, all divided by one number, so that distances keep their meaning.

    Attributes:
        mean: the mean spectrogram, shape (mels, frames).
        basis: orthonormal directions, shape (mels * frames, k).
        scale: s, the standard deviation along the first.
        least: what decoded values are raised to: the floor of the training spectrograms.
    """

    mean: Float[Tensor, "mels frames"]
    basis: Float[Tensor, "pixels k"]
    scale: float
    least: float

    def encode(self, bands: Float[Tensor, "n mels frames"]) -> Float[Tensor, "n k"]:
        """The coordinates of spectrograms (eq-components)."""
        check_shapes(bands=(bands, f"n {self.mean.shape[0]} {self.mean.shape[1]}"))
        return (bands - self.mean).flatten(1) @ self.basis / self.scale

    def to(self, device: torch.device | str) -> "Components":
        """The components on a device."""
        return replace(self, mean=self.mean.to(device), basis=self.basis.to(device))

    def decode(self, z: Float[Tensor, "n k"]) -> Float[Tensor, "n mels frames"]:
        """The spectrograms at these coordinates (eq-components), no quieter than the quietest of training."""
        check_shapes(z=(z, f"n {self.basis.shape[1]}"))
        flat = (z * self.scale) @ self.basis.T
        return (flat.unflatten(1, self.mean.shape) + self.mean).clamp(min=self.least)


def fit_components(bands: Float[Tensor, "n mels frames"], k: int) -> Components:
    """The ``k`` directions in which the spectrograms vary most."""
    sizes = check_shapes(bands=(bands, "n mels frames"))
    check_float(bands=bands)
    check_count("k", k, high=min(sizes["n"] - 1, sizes["mels"] * sizes["frames"]))
    mean = bands.mean(0)
    _, singular, directions = torch.linalg.svd((bands - mean).flatten(1), full_matrices=False)
    scale = float(singular[0]) / math.sqrt(sizes["n"] - 1)
    if scale == 0:
        raise ValueError("bands: got spectrograms that are all alike, wanted some that differ")
    return Components(mean, directions[:k].T.contiguous(), scale, float(bands.min()))


class SpeechFlow(nn.Module):
    """v(x, t, digit): which way a point in the space of components moves at time t, for that digit.

    Residual layers; time and digit enter each of them.

    Args:
        k: components.
        classes: how many digits or words there are to choose from.
        width: units of a layer.
        depth: residual layers.
    """

    def __init__(self, k: int, classes: int = 10, *, width: int = 256, depth: int = 3) -> None:
        super().__init__()
        for name, value in {"k": k, "classes": classes, "width": width, "depth": depth}.items():
            check_count(name, value)
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

    def forward(self, x: Float[Tensor, "n k"], t: Float[Tensor, "n"], digit: Int[Tensor, "n"]) -> Float[Tensor, "n k"]:
        check_shapes(x=(x, f"n {self.k}"), t=(t, "n"), digit=(digit, "n"))
        check_labels("digit", digit, self.classes)
        angles = t[:, None] * self.frequencies
        told = nn.functional.silu(self.word(digit) + self.time(torch.cat([t[:, None], angles.sin(), angles.cos()], 1)))
        h = self.enter(x)
        for layer, tell in zip(self.layers, self.told, strict=True):
            h = h + layer(h + tell(told))
        return self.leave(h)


def speech_loss(model: SpeechFlow, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
    """Flow matching's loss for a batch of (components, digits), a mean over examples and components (eq-speech-flow)."""
    z, digit = batch
    return flow_matching_loss(lambda x, t: model(x, t, digit), z, generator) / model.k


@torch.no_grad()
def speak(
    model: SpeechFlow, components: Components, digit: Int[Tensor, "n"], generator: torch.Generator, *, steps: int = 20
) -> Float[Tensor, "n mels frames"]:
    """New log-mel spectrograms of these digits: noise, carried along the velocity, decoded."""
    check_shapes(digit=(digit, "n"))
    noise = randn((len(digit), model.k), generator, like=components.basis)
    return components.decode(heun(lambda x, t: model(x, t, digit), noise, steps))
