"""The tries of the lesson on films from sentences: patches, a half of a block, the loss, Euler's method."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.exercises.tries import Try
from companion.nn.patches import Size3, patchify

Part = Callable[[Tensor], Tensor]
Field = Callable[[Tensor, Tensor], Tensor]


def cut(film: Tensor, a: int, b: int, c: int) -> Tensor:
    """A film of shape (channels, frames, rows, columns) as a list of patches (eq-sora-patches)."""
    return patchify(film[None], (a, b, c))[0]


def half(x: Tensor, part: Part, scale: Tensor, shift: Tensor, gate: Tensor) -> Tensor:
    """One half of a block whose norm and output a condition controls (eq-sora-adaln)."""
    normed = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return x + gate * part((1 + scale) * normed + shift)


def loss(net: Field, x: Tensor, z: Tensor, t: Tensor, real: Tensor) -> Tensor:
    """The loss of flow matching, a mean over what is no padding (eq-sora-loss); t has the shape (batch, 1, 1)."""
    x_t = (1 - t) * z + t * x
    error = (net(x_t, t) - (x - z)).square()
    return error[real].mean()


def euler(velocity: Callable[[Tensor, float], Tensor], z: Tensor, steps: int) -> Tensor:
    """From noise at time 0 to a film at time 1, in equal steps along the velocity."""
    x = z
    for i in range(steps):
        x = x + velocity(x, i / steps) / steps
    return x


def _films(g: Generator) -> list[tuple[Tensor, int, int, int]]:
    sizes: tuple[tuple[tuple[int, ...], Size3], ...] = (((3, 4, 6, 10), (2, 3, 5)), ((2, 4, 6, 6), (2, 2, 3)))
    return [(torch.randn(shape, generator=g), *patch) for shape, patch in sizes]


def _halves(g: Generator) -> list[tuple[Tensor | nn.Module, ...]]:
    cases = []
    for n, width in ((3, 4), (5, 8)):
        part, six = nn.Linear(width, width), torch.randn(3, 2, 1, width, generator=g)
        cases.append((1 + torch.randn(2, n, width, generator=g), part, *six))
    return cases


def _net(x: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(x) + t


def _padded(g: Generator) -> list[tuple[Field | Tensor, ...]]:
    cases = []
    for n in (4, 6):
        real = torch.arange(n) < torch.tensor([[n], [n - 2]])
        t = 0.2 + 0.2 * torch.rand(2, 1, 1, generator=g)
        cases.append((_net, *torch.randn(2, 2, n, 3, generator=g), t, real))
    return cases


def _starts(g: Generator) -> list[tuple[Callable[[Tensor, float], Tensor], Tensor, int]]:
    return [(lambda x, t: torch.cos(x) + 3 * t, torch.randn(2, 3, generator=g), steps) for steps in (2, 5)]


def _by_rows(film: Tensor, a: int, b: int, c: int) -> Tensor:
    return film.reshape(-1, film.shape[0] * a * b * c)


def _frames_last(film: Tensor, a: int, b: int, c: int) -> Tensor:
    channels, frames, rows, columns = film.shape
    x = film.view(channels, frames // a, a, rows // b, b, columns // c, c)
    return x.permute(3, 5, 1, 0, 2, 4, 6).reshape(-1, channels * a * b * c)


def _channels_last(film: Tensor, a: int, b: int, c: int) -> Tensor:
    return cut(film, a, b, c).unflatten(1, (film.shape[0], -1)).transpose(1, 2).flatten(1)


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


TRIES = (
    Try(
        "3.7-sora-1", "cut(film, a, b, c)", cut, _films,
        {
            "reshaped without moving the axes: pixels that are no neighbours share a patch": _by_rows,
            "the tokens in another order: time must be the slowest": _frames_last,
            "within a token the channels come last, not first": _channels_last,
        },
    ),
    Try(
        "3.7-sora-2", "half(x, part, scale, shift, gate)", half, _halves,
        {
            "nothing is added: x is overwritten": lambda x, part, s, b, g: half(x, part, s, b, g) - x,
            "a scale of 0 erases the input: 1 + scale": lambda x, part, s, b, g: half(x, part, s - 1, b, g),
            "the norm is missing": lambda x, part, s, b, g: x + g * part((1 + s) * x + b),
            "the gate is missing": lambda x, part, s, b, g: half(x, part, s, b, torch.ones_like(g)),
            "the shift before the scale": lambda x, part, s, b, g: x + g * part((1 + s) * (_norm(x) + b)),
        },
    ),
    Try(
        "3.7-sora-3", "loss(net, x, z, t, real)", loss, _padded,
        {
            "the padding is in the mean":
                lambda net, x, z, t, real: loss(net, x, z, t, torch.ones_like(real)),
            "padding set to zero, but still counted":
                lambda net, x, z, t, real: loss(net, x, z, t, real) * real.float().mean(),
            "the velocity points from film to noise":
                lambda net, x, z, t, real: (net((1 - t) * z + t * x, t) - (z - x)).square()[real].mean(),
            "noise and film are exchanged in x_t":
                lambda net, x, z, t, real: (net((1 - t) * x + t * z, t) - (x - z)).square()[real].mean(),
            "the target is the film, not the velocity":
                lambda net, x, z, t, real: (net((1 - t) * z + t * x, t) - x).square()[real].mean(),
        },
    ),
    Try(
        "3.7-sora-4", "euler(velocity, z, steps)", euler, _starts,
        {
            "the length of the step is missing": lambda v, z, n: euler(lambda x, t: n * v(x, t), z, n),
            "the time stands still at 0": lambda v, z, n: euler(lambda x, t: v(x, 0.0), z, n),
            "the time counts steps, it does not run from 0 to 1": lambda v, z, n: euler(lambda x, t: v(x, n * t), z, n),
            "against the velocity": lambda v, z, n: euler(lambda x, t: -v(x, t), z, n),
            "asked at the start only: one long step": lambda v, z, n: z + v(z, 0.0),
        },
    ),
)  # fmt: skip
