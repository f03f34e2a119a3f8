r"""Shortcut models: one network for any number of steps, told how many, that learns long steps from its own shorter ones.

Frans et al., "One Step Diffusion via Shortcut Models", 2024, arXiv:2410.12557. A sampler of :math:`n = 2^j` equal steps goes
through the times :math:`t_0 < \dots < t_n`. The network is told a time :math:`t_i` and n; what it answers is not what is in
x, but what has to be said for one step of `companion.diffusion.ddim` to arrive at :math:`t_{i+1}`. Where it learns from

- at the largest n: what is in x, so that short steps are a common sampler's,
- at any other: itself. Two of its own steps at 2n, from x through x' to x'', are one step at n if it answers

  :math:`\tilde x_0 = \frac{x'' - \rho\, x}{\alpha'' - \rho\, \alpha}, \; \rho = \sigma'' / \sigma` (eq-shortcut)

`companion.diffusion.distillation.answer_for`. Departures: the paper trains from nothing, with the data's own velocity at the
largest n, and with guidance; here a trained, guided model is asked at the largest n, which makes this distillation; the steps
are equal in the sampler's own count, not in time; and errors are those of the velocity, as in the paper, for any kind of
network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.distillation import answer_for
from companion.diffusion.paths import Path, q_sample
from companion.diffusion.prediction import Denoiser, Kind, Net, Prediction, to_prediction
from companion.training.precision import widened
from companion.training.random import rand, randint, randn
from companion.validate import Count, checked


@checked
@dataclass(frozen=True)
class ShortcutLoss:
    """A loss for `companion.training.train`: ``loss(student, (x0, *condition), generator)`` (eq-shortcut).

    Attributes:
        path: of teacher and student.
        kind: what ``student(x_t, t, *condition, steps)`` predicts; steps (n) counts those of the whole way.
        teacher: ``teacher(*condition)``, the teacher's denoiser for a batch, guided or not.
        times: ``times(n)``, the n + 1 times of a sampler, from noise to data; those of n are every other one of 2n's.
        finest: the largest number of steps, a power of 2.

    Raises:
        ValueError: a number that is no power of 2.
    """

    path: Path
    kind: Kind
    teacher: Callable[..., Denoiser]
    times: Callable[[int], Sequence[float]]
    finest: Count = 16

    def __post_init__(self) -> None:
        if self.finest & (self.finest - 1):
            raise ValueError(f"finest: got {self.finest}, wanted a power of 2")

    def __call__(self, student: Net, batch: Sequence[Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        x0, *condition = batch
        steps, times = self._draw(len(x0), generator, x0)
        t, half, s = times.unbind(1)
        x_t = q_sample(self.path, x0, t, randn(x0.shape, generator, x0))
        taught = steps == self.finest
        wanted = torch.empty_like(x0)
        if taught.any():
            wanted[taught] = self.teacher(*(part[taught] for part in condition))(x_t[taught], t[taught]).x0
        if not taught.all():
            own = ~taught
            jump = in_steps(student, self.path, self.kind, tuple(part[own] for part in condition), 2 * steps[own])
            arrived = ddim_sample(jump, self.path, x_t[own], times[own])
            wanted[own] = answer_for(self.path, x_t[own], arrived, t[own], s[own])
        given = to_prediction(self.path, self.kind, x_t, t, student(x_t, t, *condition, steps=steps)).x0
        alpha, sigma = self.path.alpha_sigma(t, x_t)
        return ((widened(given) - widened(wanted)) * (alpha + sigma) / sigma).square().mean()

    def _draw(self, n: int, generator: torch.Generator, like: Tensor) -> tuple[Tensor, Tensor]:
        """For each example a number of steps, and where one of them begins, is half done and ends."""
        levels = self.finest.bit_length()
        fine = torch.tensor([*self.times(2 * self.finest)])
        level, share = randint(levels, (n,), generator), rand((n,), generator)
        steps = 2**level
        wide = self.finest // steps  # halves of a step in the finest times
        first = 2 * wide * (share * steps).long()
        times = fine[torch.stack([first, first + wide, first + 2 * wide], dim=1)]
        return steps.to(like.device), times.to(like)


def in_steps(net: Net, path: Path, kind: Kind, condition: tuple[Tensor, ...], steps: Int[Tensor, "n"]) -> Denoiser:
    """A network that is told the number of steps as a denoiser for a sampler of as many, one number for each example."""

    def denoiser(x_t: Tensor, t: Tensor) -> Prediction:
        return to_prediction(path, kind, x_t, t, net(x_t, t, *condition, steps=steps))

    return denoiser
