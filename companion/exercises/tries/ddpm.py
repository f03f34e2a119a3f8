"""The tries of the lesson on diffusion models: noise, a step back, the loss, a step of any length."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try

Net = Callable[..., Tensor]


def noised(x0: Tensor, eps: Tensor, bar: Tensor) -> Tensor:
    """x_t, of which the share ``bar`` of the variance is left of the data (eq-ddpm-forward)."""
    return bar**0.5 * x0 + (1 - bar) ** 0.5 * eps


def reverse_step(x_t: Tensor, x0: Tensor, z: Tensor, alpha: Tensor, bar: Tensor, before: Tensor) -> Tensor:
    """x_{t-1} from x_t and the data (eq-ddpm-posterior); ``before`` is the ``bar`` of the step before."""
    beta = 1 - alpha
    mean = before**0.5 * beta * x0 + alpha**0.5 * (1 - before) * x_t
    variance = (1 - before) / (1 - bar) * beta
    return mean / (1 - bar) + variance**0.5 * z


def loss(net: Net, x0: Tensor, eps: Tensor, bar: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """The squared error of a network that predicts v (eq-ddpm-loss)."""
    x_t = bar**0.5 * x0 + (1 - bar) ** 0.5 * eps
    v = bar**0.5 * eps - (1 - bar) ** 0.5 * x0
    return (net(x_t, t, y) - v).square().mean()


def jump(x_t: Tensor, x0: Tensor, bar: Tensor, bar_s: Tensor) -> Tensor:
    """x_s from x_t and the data, without fresh noise (eq-ddpm-ddim with no η)."""
    eps = (x_t - bar**0.5 * x0) / (1 - bar) ** 0.5
    return bar_s**0.5 * x0 + (1 - bar_s) ** 0.5 * eps


def _net(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    return torch.tanh(x) + 0.01 * t[:, None] - 0.1 * y[:, None]


def _shares(g: Generator) -> Tensor:
    """Three shares of a path, the largest first, no two of them alike."""
    return torch.tensor([0.75, 0.45, 0.15]) + 0.2 * torch.rand(3, generator=g)


def _mixtures(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(*torch.randn(2, n, 4, generator=g), bar) for n, bar in zip((1, 3), _shares(g), strict=False)]


def _steps(g: Generator) -> list[tuple[Tensor, ...]]:
    cases = []
    for n in (2, 3):
        before, bar, _ = _shares(g)
        cases.append((*torch.randn(3, n, 4, generator=g), bar / before, bar, before))
    before, bar, _ = _shares(g)
    return [*cases, (*torch.randn(3, 2, 4, generator=g), before, before, torch.tensor(1.0))]  # step 0


def _batches(g: Generator) -> list[tuple[Net | Tensor, ...]]:
    cases = []
    for n in (2, 5):
        bar = 0.1 + 0.8 * torch.rand(n, 1, generator=g)
        t, y = torch.randint(1, 100, (n,), generator=g), torch.randint(10, (n,), generator=g)
        cases.append((_net, *torch.randn(2, n, 6, generator=g), bar, t, y))
    return cases


def _jumps(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(*torch.randn(2, n, 4, generator=g), *_shares(g)[[2, 0]]) for n in (1, 3)]


def _mistaken_mean(x_t: Tensor, x0: Tensor, z: Tensor, alpha: Tensor, bar: Tensor, before: Tensor) -> Tensor:
    beta, spread = 1 - alpha, ((1 - before) / (1 - bar) * (1 - alpha)) ** 0.5
    return (before * beta * x0 + alpha * (1 - before) * x_t) / (1 - bar) + spread * z


def _seen_clean(net: Net, x0: Tensor, eps: Tensor, bar: Tensor, t: Tensor, y: Tensor) -> Tensor:
    return (net(x0, t, y) - bar**0.5 * eps + (1 - bar) ** 0.5 * x0).square().mean()


TRIES = (
    Try(
        "3.6-ddpm-1", "noised(x0, eps, bar)", noised, _mixtures,
        {
            "the shares of variance, not their roots": lambda x0, e, bar: bar * x0 + (1 - bar) * e,
            "the noise without its factor": lambda x0, e, bar: bar**0.5 * x0 + e,
            "one minus the root, not the root of one minus": lambda x0, e, bar: bar**0.5 * x0 + (1 - bar**0.5) * e,
            "picture and noise are exchanged": lambda x0, e, bar: noised(e, x0, bar),
        },
    ),
    Try(
        "3.6-ddpm-2", "reverse_step(x_t, x0, z, alpha, bar, before)", reverse_step, _steps,
        {
            "the variance where the standard deviation belongs":
                lambda x, x0, z, a, bar, b: reverse_step(x, x0, z * ((1 - b) / (1 - bar) * (1 - a)) ** 0.5, a, bar, b),
            "no fresh noise": lambda x, x0, z, a, bar, b: reverse_step(x, x0, 0 * z, a, bar, b),
            "the mean without its roots": _mistaken_mean,
            "the variance β: noise at step 0 too":
                lambda x, x0, z, a, bar, b: reverse_step(x, x0, 0 * z, a, bar, b) + (1 - a) ** 0.5 * z,
            "x0 and x_t are exchanged": lambda x, x0, z, a, bar, b: reverse_step(x0, x, z, a, bar, b),
        },
    ),
    Try(
        "3.6-ddpm-3", "loss(net, x0, eps, bar, t, y)", loss, _batches,
        {
            "the network sees the clean picture": _seen_clean,
            "the target is the noise, not v":
                lambda net, x0, e, bar, t, y: (net(noised(x0, e, bar), t, y) - e).square().mean(),
            "the target is the picture, not v":
                lambda net, x0, e, bar, t, y: (net(noised(x0, e, bar), t, y) - x0).square().mean(),
            "the sign in v":
                lambda net, x0, e, bar, t, y:
                    (net(noised(x0, e, bar), t, y) - bar**0.5 * e - (1 - bar) ** 0.5 * x0).square().mean(),
            "the sum, not the mean": lambda net, x0, e, bar, t, y: loss(net, x0, e, bar, t, y) * x0.numel(),
        },
    ),
    Try(
        "3.6-ddpm-4", "jump(x_t, x0, bar, bar_s)", jump, _jumps,
        {
            "the noise of x_t is forgotten": lambda x, x0, bar, s: s**0.5 * x0,
            "x_t itself is taken for the noise": lambda x, x0, bar, s: s**0.5 * x0 + (1 - s) ** 0.5 * x,
            "the old shares, not those of s": lambda x, x0, bar, s: jump(x, x0, bar, bar),
            "the noise not divided by its factor":
                lambda x, x0, bar, s: s**0.5 * x0 + (1 - s) ** 0.5 * (x - bar**0.5 * x0),
        },
    ),
)  # fmt: skip
