r"""Progressive distillation: a student learns to do in one step what its teacher does in several.

Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", 2022, arXiv:2202.00512; with guidance in the
teacher, Meng et al., "On Distillation of Guided Diffusion Models", arXiv:2210.03142. The deterministic step of
`companion.diffusion.ddim` can be solved for the data. Whoever wants to come from x_t to a given x_s in a single step has to
predict

- :math:`\tilde x_0 = \frac{x_s - \rho\, x_t}{\alpha_s - \rho\, \alpha_t}, \; \rho = \sigma_s / \sigma_t` (eq-realtime-distil)

The teacher goes from t to s in k small steps; the student is asked for that prediction, with the loss

- :math:`L = E \max(1, \alpha_t^2 / \sigma_t^2)\, \| \tilde x_0 - \hat x_\theta(x_t, t) \|^2` (eq-realtime-distil)

the paper's "truncated SNR" weight. If the teacher is guided, guidance is learned with the rest, and the student needs one pass
where the teacher needed two. Departures: the paper halves the number of steps again and again (k = 2), this module takes any k
at once; and the steps are those of the course's discrete schedule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.paths import Path, VariancePreserving, check_towards_data, q_sample
from companion.diffusion.prediction import Denoiser, Kind, Net, to_prediction
from companion.diffusion.times import timesteps
from companion.training.random import randint, randn
from companion.validate import Count, check_count, checked


@checked
def answer_for(
    path: Path,
    x_t: Float[Tensor, "n *axes"],
    x_s: Float[Tensor, "n *axes"],
    t: Shaped[Tensor, "n"],
    s: Shaped[Tensor, "n"],
) -> Float[Tensor, "n *axes"]:
    """The data that must be predicted to come from x_t to x_s in one DDIM step (eq-realtime-distil)."""
    check_towards_data(path, t, s)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = path.alpha_sigma(t, x_t), path.alpha_sigma(s, x_t)
    return (x_s - sigma_s / sigma_t * x_t) / (alpha_s - sigma_s / sigma_t * alpha_t)


@checked
def teacher_timesteps(total: int, teacher_steps: int, student_steps: Count) -> Int[Tensor, "student_steps k_plus_1"]:
    """For each student step, the k + 1 timesteps at which the teacher's k steps begin and end; the last of all is -1."""
    check_count("teacher_steps", teacher_steps, low=student_steps, high=total)
    if teacher_steps % student_steps:
        raise ValueError(f"teacher_steps: got {teacher_steps}, wanted a multiple of the student's {student_steps}")
    k = teacher_steps // student_steps
    return torch.tensor([*timesteps(total, teacher_steps), -1]).unfold(0, k + 1, k).clone()


@checked
@dataclass(frozen=True, eq=False)
class DistillationLoss:
    """A loss for `companion.training.train`: ``loss(student, (x0, *condition), generator)`` (eq-realtime-distil).

    Attributes:
        path: of teacher and student.
        teacher: ``teacher(*condition)``, the teacher's denoiser for a batch, guided or not.
        rows: as `teacher_timesteps` gives them; one row is drawn for each example.
        kind: what ``student(x_t, t, *condition)`` predicts.
    """

    path: VariancePreserving
    teacher: Callable[..., Denoiser]
    rows: Int[Tensor, "student_steps k_plus_1"]
    kind: Kind = "v"

    def __call__(self, student: Net, batch: Sequence[Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        x0, *condition = batch
        times = self.rows.to(x0.device)[randint(len(self.rows), (len(x0),), generator, x0)]
        t, s = times[:, 0], times[:, -1]
        x_t = q_sample(self.path, x0, t, randn(x0.shape, generator, x0))
        wanted = answer_for(self.path, x_t, ddim_sample(self.teacher(*condition), self.path, x_t, times), t, s)
        given = to_prediction(self.path, self.kind, x_t, t, student(x_t, t, *condition)).x0
        alpha, sigma = self.path.alpha_sigma(t, x_t)
        return ((alpha / sigma).square().clamp(min=1) * (given - wanted).square()).mean()
