r"""Guidance distillation: a student that is told the strength of guidance and answers in one pass what guidance takes two for.

Meng et al., "On Distillation of Guided Diffusion Models", 2022, arXiv:2210.03142, section 3.1. The student's w is that of
`companion.diffusion.guidance` (eq-cfg), drawn from the strengths that will be asked for:

- :math:`L = E_{w, x_0, t, \epsilon} \| y_\theta(x_t, t, c, w) - \hat y_w(x_t, t, c) \|^2, \quad
  \hat y_w = y_\varnothing + w\, (y_c - y_\varnothing)` (eq-guidance-distillation)

in the kind of prediction of teacher and student. The authors of Flux say of one of its published variants, "dev", that it is
guidance-distilled, without details.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.losses import squared_error
from companion.diffusion.paths import Path, q_sample
from companion.diffusion.prediction import Net
from companion.diffusion.times import TimeLaw, Uniform
from companion.training.random import randn
from companion.validate import checked


@checked
@dataclass(frozen=True)
class GuidanceDistillationLoss:
    """A loss for `companion.training.train`: ``loss(student, (x0, *condition), generator)`` (eq-guidance-distillation).

    Attributes:
        path: from data to noise.
        teacher: ``teacher(x_t, t, *condition)``; the student is asked ``student(x_t, t, *condition, guidance=w)``.
        null: what stands for no condition, one tensor for each part, of one row.
        strengths: from which w is drawn.
        times: the law of the times; the path's own if not given.
    """

    path: Path
    teacher: Net
    null: tuple[Tensor, ...]
    strengths: Uniform
    times: TimeLaw | None = None

    def __call__(self, student: Net, batch: Sequence[Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        x0, *condition = batch
        t = (self.times or self.path.random_times)(len(x0), generator, x0)
        w = self.strengths(len(x0), generator, x0)
        x_t = q_sample(self.path, x0, t, randn(x0.shape, generator, x0))
        with torch.no_grad():
            pairs = (torch.cat([a.expand_as(b), b]) for a, b in zip(self.null, condition, strict=True))
            without, told = self.teacher(torch.cat([x_t, x_t]), torch.cat([t, t]), *pairs).chunk(2)
            wanted = without + w.view(-1, *[1] * (x0.ndim - 1)) * (told - without)
        return squared_error(wanted, student(x_t, t, *condition, guidance=w))
