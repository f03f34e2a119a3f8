r"""Stable Diffusion whole: words to a picture, a picture to another, a hole in a picture filled.

Rombach et al., 2021, arXiv:2112.10752. A text tower turns the prompt into states c, noise becomes latents z by a sampler that
asks the denoiser with guidance (`companion.diffusion.guidance`, eq-cfg), the decoder makes the picture of them:

- :math:`c = T(\mathrm{prompt}), \quad z_0 = \mathrm{sample}(\epsilon, c), \quad x = D(z_0)` (eq-sd-pipeline)

*Image to image* (Meng et al., "SDEdit", arXiv:2108.01073) begins not at noise but on the way, at the given picture mixed with
noise, :math:`z_t = \alpha_t z + \sigma_t \epsilon`: the larger its noise, the less of the picture is left. *Inpainting* knows
what stands outside the hole at any time (`companion.image.stable_diffusion.inpainting`, eq-sd-inpaint). A *negative prompt*
takes the empty one's place in guidance.

Times may be shifted towards the noise, as Esser et al., arXiv:2403.03206, equation 23, do for large pictures; where time runs
from noise to data,

- :math:`t' = t / (t + s (1 - t))` (eq-sd-shift)

Departure: what is given is kept to the pixel, by pasting it over the decoded picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.guidance import guided
from companion.diffusion.paths import Path, Time, q_sample
from companion.diffusion.prediction import Denoiser, Kind, Net, as_denoiser
from companion.image.stable_diffusion.inpainting import keep_outside, sample_again
from companion.image.stable_diffusion.latents import Latents
from companion.training.random import Device, randn
from companion.validate import Count, Finite, NonNegative, Positive, Share, checked

# condition(prompts): the text's states (n, words, width) and which words are real (n, words).
Condition = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@checked
@dataclass(frozen=True)
class StableDiffusion:
    """A text-to-image model of three parts: what words say, a denoiser of latents, and an autoencoder.

    Attributes:
        condition: prompts to what is said of their words and a mask of real ones, such as `Words` of this package.
        net: the denoiser, ``net(z_t, t, states, mask)``, such as a `TextUNet`.
        latents: pictures to latents and back.
        shape: of one picture's latents: channels, rows, columns.
        path: from latents to noise.
        kind: what the denoiser predicts.
        shift: above 1, samplers take smaller steps near the noise and larger ones near the data (eq-sd-shift).
        device: where all parts are, and pictures come from; `to` moves them.
    """

    condition: Condition
    net: Net
    latents: Latents
    shape: tuple[int, int, int]
    path: Path
    kind: Kind
    shift: Positive = 1.0
    device: Device = "cpu"

    def to(self, device: Device) -> "StableDiffusion":
        """The same on another device."""
        words, net, latents = (part.to(device) for part in (self.condition, self.net, self.latents))
        return replace(self, condition=words, net=net, latents=latents, device=device)

    def times(self, steps: int) -> list[Time]:
        """The times of a sampler, from noise to data (eq-sd-shift).

        Raises:
            ValueError: a shift on a path whose times do not run from 0 to 1.
        """
        times = self.path.times(steps)
        if self.shift == 1:
            return times
        if (times[0], times[-1]) != (0.0, 1.0):
            raise ValueError(f"shift: got {self.shift:g} for times from {times[0]} to {times[-1]}, wanted 0.0 to 1.0")
        return [t / (t + self.shift * (1 - t)) for t in times]

    @checked
    def denoiser(self, prompts: Sequence[str], scale: NonNegative = 3.0, negative: str = "") -> Denoiser:
        """What is in noisy latents, as these prompts have it.

        Args:
            prompts: one for each row of latents.
            scale: of the guidance; 1 for none.
            negative: what to move away from: nothing in particular, or what is not wanted.
        """
        away = self.condition([negative] * len(prompts))
        return as_denoiser(guided(self.net, self.condition(prompts), scale, null=away), self.path, self.kind)

    def noise(self, n: int, generator: Generator) -> Float[Tensor, "n channels rows columns"]:
        """Where samplers begin."""
        return randn((n, *self.shape), generator, device=self.device)

    @torch.no_grad()
    @checked
    def text_to_image(
        self,
        prompts: Sequence[str],
        generator: Generator,
        *,
        scale: NonNegative = 3.0,
        negative: str = "",
        steps: Count = 20,
    ) -> Float[Tensor, "n channels height width"]:
        """A picture for each prompt, in [-1, 1] (eq-sd-pipeline)."""  # fmt: skip
        z = self.noise(len(prompts), generator)
        times = self.times(steps)
        return self.latents.decode(ddim_sample(self.denoiser(prompts, scale, negative), self.path, z, times))

    @torch.no_grad()
    @checked
    def image_to_image(
        self,
        pictures: Finite[Tensor, "n channels height width"],
        prompts: Sequence[str],
        strength: Share,
        generator: Generator,
        *,
        scale: NonNegative = 3.0,
        negative: str = "",
        steps: Count = 20,
    ) -> Float[Tensor, "n channels height width"]:
        """Given pictures, changed to suit their prompts.

        Args:
            strength: the share of the sampler's steps that are taken, at least one: 1 begins at noise and keeps nothing.
            steps: of the whole way from noise.
        """  # fmt: skip
        _one_each(pictures, prompts)
        times = self.times(steps)
        times = times[-1 - max(1, round(strength * steps)) :]
        z = self._encoded(pictures)
        first = torch.full((len(z),), times[0], device=z.device)
        z_t = q_sample(self.path, z, first, self.noise(len(z), generator))
        return self.latents.decode(ddim_sample(self.denoiser(prompts, scale, negative), self.path, z_t, times))

    @torch.no_grad()
    @checked
    def inpaint(
        self,
        pictures: Finite[Tensor, "n channels height width"],
        hole: Bool[Tensor, "n height width"],
        prompts: Sequence[str],
        generator: Generator,
        *,
        scale: NonNegative = 3.0,
        negative: str = "",
        steps: Count = 20,
        rounds: Count = 1,
    ) -> Float[Tensor, "n channels height width"]:
        """Given pictures with their holes filled to suit the prompts, each of which tells of the whole picture (eq-sd-inpaint).

        Args:
            hole: True at the pixels to be drawn anew.
            rounds: how often each step is taken (eq-sd-again).
        """  # fmt: skip
        _one_each(pictures, prompts)
        z, noise = self._encoded(torch.where(hole[:, None], 0.0, pictures)), self.noise(len(pictures), generator)
        places = F.adaptive_max_pool2d(hole[:, None].float(), self.shape[1:]) > 0
        denoiser = keep_outside(self.denoiser(prompts, scale, negative), self.path, places, z)
        drawn = self.latents.decode(sample_again(denoiser, self.path, noise, self.times(steps), rounds, generator))
        return torch.where(hole[:, None], drawn, pictures)

    def _encoded(self, pictures: Tensor) -> Tensor:
        z = self.latents.encode(pictures)
        if z.shape[1:] != self.shape:
            got, wanted = tuple(z.shape[1:]), tuple(self.shape)
            raise ValueError(
                f"pictures: got {tuple(pictures.shape)}, whose latents are {got}, wanted latents of {wanted}"
            )
        return z


def _one_each(pictures: Tensor, prompts: Sequence[str]) -> None:
    if len(prompts) != len(pictures):
        raise ValueError(f"prompts: got {len(prompts)}, wanted one for each of {len(pictures)} pictures")
