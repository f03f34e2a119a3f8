"""Chapter 3.6's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.checking import grade
from tests.exercises import typical

RIGHT = typical.right("3_06_image")


def posterior(
    of_x0: Callable[..., Tensor] = lambda a, before, bar: before.sqrt() * (1 - a) / (1 - bar),
    of_x_t: Callable[..., Tensor] = lambda a, before, bar: a.sqrt() * (1 - before) / (1 - bar),
    variance: Callable[..., Tensor] = lambda a, before, bar: (1 - before) / (1 - bar) * (1 - a),
) -> Callable[..., Any]:
    def wrong(x0: Tensor, x_t: Tensor, t: int, beta: Tensor) -> tuple[Tensor, float]:
        a, before, bar = 1 - beta[t], (1 - beta[:t]).prod(), (1 - beta[: t + 1]).prod()
        return of_x0(a, before, bar) * x0 + of_x_t(a, before, bar) * x_t, float(variance(a, before, bar))

    return wrong


def step(
    x0: Callable[..., Tensor] = lambda x, eps, bar: (x - (1 - bar) ** 0.5 * eps) / bar**0.5,
    old: Callable[[float, float], float] = lambda bar, sigma: (1 - bar - sigma**2) ** 0.5,
    fresh: Callable[[float, Tensor, Tensor], Tensor] = lambda sigma, z, eps: sigma * z,
) -> Callable[..., Tensor]:
    def wrong(x_t: Tensor, eps: Tensor, bar_t: float, bar_s: float, sigma: float, z: Tensor) -> Tensor:
        return bar_s**0.5 * x0(x_t, eps, bar_t) + old(bar_s, sigma) * eps + fresh(sigma, z, eps)

    return wrong


def guided(
    scale: Callable[[float], float] = lambda w: w, nothing: int = 10, swap: bool = False, calls: int = 1
) -> Callable[..., Tensor]:
    def wrong(net: Callable[..., Tensor], x: Tensor, t: Tensor, labels: Tensor, w: float) -> Tensor:
        both = torch.full_like(labels, nothing), labels
        if calls == 2:
            without, with_label = (net(x, t, one) for one in both)
        else:
            without, with_label = net(torch.cat([x, x]), torch.cat([t, t]), torch.cat(both)).chunk(2)
        if swap:
            without, with_label = with_label, without
        return without + scale(w) * (with_label - without)

    return wrong


def root(matrix: Tensor) -> Tensor:
    return torch.linalg.eigvals(matrix).real.clamp(min=0).sqrt().sum()


def frechet(
    moved: Callable[[Tensor], Tensor] = lambda shift: shift.square().sum(),
    shared: Callable[[Tensor, Tensor], Tensor] = lambda p, q: 2 * root(p @ q),
) -> Callable[..., float]:
    def wrong(a: Tensor, b: Tensor) -> float:
        p, q = a.T.cov(), b.T.cov()
        return float(moved(a.mean(0) - b.mean(0)) + p.trace() + q.trace() - shared(p, q))

    return wrong


def gan(critic: Callable[..., Tensor], generator: Callable[..., Tensor]) -> Callable[..., Any]:
    return lambda real, fake: (critic(real, fake), generator(real, fake))


def pay(logits: Tensor, real: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))


def both(real: Tensor, fake: Tensor) -> Tensor:
    return pay(real, 1) + pay(fake, 0)


def fooled(real: Tensor, fake: Tensor) -> Tensor:
    return pay(fake, 1)


def curvature(s: float, v: float, w: float) -> float:
    return w / s**2 + (1 - w) / v


SWAPPED = (lambda a, before, bar: a.sqrt() * (1 - before), lambda a, before, bar: before.sqrt() * (1 - a))

WRONG: list[typical.Row] = [
    ("3.6.1", posterior(variance=lambda a, before, bar: 1 - a), 7, "stays in every image (I51)"),
    ("3.6.1", posterior(variance=lambda a, before, bar: ((1 - before) / (1 - bar) * (1 - a)).sqrt()), 12, "not the variance"),
    ("3.6.1", posterior(of_x0=lambda a, before, bar: bar.sqrt() * (1 - a) / (1 - bar)), 8, "ᾱ of this step"),
    ("3.6.1", posterior(of_x_t=lambda a, before, bar: bar.sqrt() * (1 - before) / (1 - bar)), 10, "ᾱ_t for α_t"),
    (
        "3.6.1",
        posterior(*(lambda a, before, bar, w=w: w(a, before, bar) / (1 - bar) for w in SWAPPED)),
        5,
        "are swapped",
    ),
    ("3.6.2", RIGHT["step_with_bugs"], 7, "not by its root"),
    ("3.6.2", step(x0=lambda x, eps, bar: (x - (1 - bar) ** 0.5 * eps) / bar), 13, "not by its root"),
    ("3.6.2", step(x0=lambda x, eps, bar: x - (1 - bar) ** 0.5 * eps), 13, "too faint"),
    ("3.6.2", step(old=lambda bar, sigma: (1 - bar) ** 0.5), 13, "on top of all the old"),
    ("3.6.2", step(old=lambda bar, sigma: (1 - bar) ** 0.5 - sigma), 13, "where variances add up"),
    ("3.6.2", step(fresh=lambda sigma, z, eps: sigma * eps), 10, "z does not count"),
    ("3.6.2", step(fresh=lambda sigma, z, eps: sigma**2 * z), 16, "σ² for σ"),
    ("3.6.3", guided(scale=lambda w: 1 + w), 7, "smaller by one"),
    ("3.6.3", guided(swap=True), 7, "are swapped"),
    ("3.6.3", guided(nothing=0), 11, "a digit, for no label"),
    ("3.6.3", guided(calls=2), 12, "two calls"),
    ("3.6.3", guided(scale=lambda w: min(w, 1.0)), 11, "stops at 1"),
    ("3.6.4", frechet(moved=torch.linalg.vector_norm), 13, "not its square"),
    ("3.6.4", frechet(shared=lambda p, q: 2 * (p @ q).clamp(min=0).sqrt().trace()), 4, "each entry"),
    ("3.6.4", frechet(shared=lambda p, q: 2 * (p.diagonal() * q.diagonal()).sqrt().sum()), 11, "only the variances"),
    ("3.6.4", frechet(shared=lambda p, q: root(p @ q)), 4, "order of the images counts"),
    ("3.6.5", lambda m, s, v, w: (m, s), 2, "guidance overshoots"),
    ("3.6.5", lambda m, s, v, w: (w * m, s / w**0.5), 2, "like a score"),
    (
        "3.6.5",
        lambda m, s, v, w: ((1 + w) * m / s**2 / ((1 + w) / s**2 - w / v), ((1 + w) / s**2 - w / v) ** -0.5),
        2,
        "smaller by one",
    ),
    ("3.6.5", lambda m, s, v, w: (w * m / s**2 / curvature(s, v, w), 1 / curvature(s, v, w)), 9, "for the standard"),
    ("3.6.5", lambda *_: (2.0, 0.5), 0, "formulas belong"),
    ("3.6.6", gan(both, lambda real, fake: -pay(fake, 0)), 4, "saturating"),
    ("3.6.6", gan(lambda r, f: 0.5 * both(r, f), fooled), 9, "the mean of both halves"),
    ("3.6.6", gan(lambda r, f: pay(r, 0) + pay(f, 1), fooled), 9, "are swapped"),
    (
        "3.6.6",
        gan(
            lambda r, f: -r.sigmoid().log().mean() - (1 - f.sigmoid()).log().mean(),
            lambda r, f: -f.sigmoid().log().mean(),
        ),
        9,
        "stay with logits",
    ),
]  # fmt: skip


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    """Other algorithms, other orders of the batch: full points."""
    assert grade("3.6.1", posterior(), seed=4) == 20
    assert grade("3.6.2", step(), seed=4) == 19
    assert grade("3.6.3", guided(), seed=4) == 15
    assert grade("3.6.4", frechet(), seed=4) == 17
    assert grade("3.6.6", gan(both, fooled), seed=4) == 13
