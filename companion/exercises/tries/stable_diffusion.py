"""The tries of the lesson on Stable Diffusion: a scale for latents, attention to words, a start on the way, a known outside."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from companion.exercises.tries import Try


def to_unit(codes: Float[Tensor, "n channels rows columns"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Scale s and shift b that give s (codes - b) mean 0 and spread 1 (eq-sd-latents)."""
    return 1 / codes.std(), codes.mean()


def look(
    q: Float[Tensor, "places d"], k: Float[Tensor, "words d"], v: Float[Tensor, "words e"]
) -> Float[Tensor, "places e"]:
    """What each place takes from the words (eq-sd-cross), one head."""
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v


def begin(z: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], strength: float) -> Float[Tensor, "*shape"]:
    """Where image to image begins on a straight path: at time 1 - strength."""
    return (1 - strength) * z + strength * noise


def keep(
    found: Float[Tensor, "n c h w"], given: Float[Tensor, "n c h w"], hole: Bool[Tensor, "n 1 h w"]
) -> Float[Tensor, "n c h w"]:
    """What was found in the hole, and what is given outside (eq-sd-inpaint)."""
    return torch.where(hole, found, given)


def _codes(g: Generator) -> list[tuple[Tensor]]:
    return [(3 * torch.randn(n, 2, 32, 32, generator=g) + 5,) for n in (40, 60)]  # so many that n and n - 1 are alike


def _attention(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (torch.randn(n, d, generator=g), torch.randn(m, d, generator=g), torch.randn(m, e, generator=g))
        for n, m, d, e in ((5, 3, 5, 2), (2, 6, 8, 3))
    ]


def _starts(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, 3, 4, generator=g), strength) for strength in (0.37, 0.81)]


def _holes(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (*torch.randn(2, n, 2, 3, 3, generator=g), torch.arange(9 * n).reshape(n, 1, 3, 3) % 4 == 0) for n in (1, 2)
    ]


TRIES = (
    Try(
        "3.6-stable-diffusion-1", "to_unit(codes)", to_unit, _codes,
        {
            "the spread, not one over it": lambda z: (z.std(), z.mean()),
            "one over the variance": lambda z: (1 / z.var(), z.mean()),
            "the number of Stable Diffusion's own autoencoder": lambda z: (torch.tensor(0.18215), torch.tensor(0.0)),
            "without the shift": lambda z: (1 / z.std(), torch.tensor(0.0)),
            "shift and scale have changed places": lambda z: (z.mean(), 1 / z.std()),
            "the shift is taken after scaling": lambda z: (1 / z.std(), z.mean() / z.std()),
        },
    ),
    Try(
        "3.6-stable-diffusion-2", "look(q, k, v)", look, _attention,
        {
            "not divided by the root of the width": lambda q, k, v: (q @ k.T).softmax(1) @ v,
            "the shares sum to 1 over places, not over words": lambda q, k, v: (
                (q @ k.T / math.sqrt(q.shape[1])).softmax(0) @ v
            ),
            "divided by the root of the width after the softmax": lambda q, k, v: (
                ((q @ k.T).softmax(1) / math.sqrt(q.shape[1])) @ v
            ),
            "divided by the width, not by its root (I19)": lambda q, k, v: (q @ k.T / q.shape[1]).softmax(1) @ v,
        },
    ),
    Try(
        "3.6-stable-diffusion-3", "begin(z, noise, strength)", begin, _starts,
        {
            "picture and noise are swapped": lambda z, e, s: begin(e, z, s),
            "the picture is not faded": lambda z, e, s: z + s * e,
            "shares of the other path: the variance is preserved": lambda z, e, s: math.sqrt(1 - s**2) * z + s * e,
        },
    ),
    Try(
        "3.6-stable-diffusion-4", "keep(found, given, hole)", keep, _holes,
        {
            "inside out": lambda f, g, h: keep(g, f, h),
            "the hole added to what is given": lambda f, g, h: g + h * f,
            "nothing is kept": lambda f, g, h: f,
        },
    ),
)  # fmt: skip
