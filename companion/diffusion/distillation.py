r"""Progressive distillation: a student learns to do in one step what its teacher does in several.

Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", 2022, arXiv:2202.00512; with guidance in the
teacher, Meng et al., "On Distillation of Guided Diffusion Models", arXiv:2210.03142. The
deterministic step (eq-realtime-jump) of `companion.diffusion.jumps` can be solved for the picture. Whoever wants to come from
x_t to a given x_s in a single step has to answer

- :math:`\tilde x_0 = \frac{x_s - \rho\, x_t}{\alpha_s - \rho\, \alpha_t}, \; \rho = \sigma_s / \sigma_t` (eq-realtime-distil)

The teacher walks from t to s in k small steps; the student is asked for that answer, and pays

- :math:`L = E \max(1, \alpha_t^2 / \sigma_t^2)\, \| \tilde x_0 - \hat x_\theta(x_t, t) \|^2` (eq-realtime-distil)

the paper's "truncated SNR" weight. If the teacher is guided, guidance is learned with the rest, and the student needs one pass
where the teacher needed two. Departures: the paper halves the number of steps again and again (k = 2), this module takes any k
at once; and the steps are those of the course's discrete schedule.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.ddim import strided
from companion.diffusion.ddpm import NoiseSchedule, q_sample
from companion.diffusion.jumps import Guess, check_steps, shares, walk
from companion.diffusion.parameterisation import LabelledNet, data_and_noise
from companion.validate import check_count


def answer_for(
    schedule: NoiseSchedule,
    x_t: Float[Tensor, "n ..."],
    x_s: Float[Tensor, "n ..."],
    t: Int[Tensor, "n"],
    s: Int[Tensor, "n"],
) -> Float[Tensor, "n ..."]:
    """The guess at the data that takes x_t to x_s in one `jump` (eq-realtime-distil)."""
    check_steps(schedule, x_t, t, s)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = shares(schedule, t, x_t), shares(schedule, s, x_t)
    return (x_s - sigma_s / sigma_t * x_t) / (alpha_s - sigma_s / sigma_t * alpha_t)


def routes(total: int, teacher_steps: int, student_steps: int) -> Int[Tensor, "student_steps k_plus_1"]:
    """For each student step, the k + 1 stations at which the teacher's k steps begin and end; the last of all is -1."""
    check_count("student_steps", student_steps)
    check_count("teacher_steps", teacher_steps, low=student_steps, high=total)
    if teacher_steps % student_steps:
        raise ValueError(f"teacher_steps: got {teacher_steps}, wanted a multiple of the student's {student_steps}")
    stations = torch.tensor([*strided(total, teacher_steps), -1])
    k = teacher_steps // student_steps
    return stations.unfold(0, k + 1, k).clone()


def distillation_loss(
    student: LabelledNet,
    teacher: Callable[[Int[Tensor, "n"]], Guess],
    schedule: NoiseSchedule,
    x0: Float[Tensor, "n ..."],
    labels: Int[Tensor, "n"],
    stations: Int[Tensor, "steps k_plus_1"],
    generator: torch.Generator,
    *,
    prediction: str = "v",
) -> Float[Tensor, ""]:
    """Draw one of the student's steps and noise for each image; ask for where the teacher arrives (eq-realtime-distil).

    Args:
        student: ``student(x_t, t, labels)``, which answers in the form ``prediction``.
        teacher: gives the teacher's guess for labels: ``lambda labels: as_guess(net, labels, schedule, scale=2.0)``.
        x0: images in [-1, 1].
        labels: one for each image.
        stations: as `routes` gives them.
        generator: of steps and noise.
    """
    route = stations[torch.randint(len(stations), (len(x0),), generator=generator)]
    t, s = route[:, 0], route[:, -1]
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
    x_t = q_sample(schedule, x0, t, noise)
    wanted = answer_for(schedule, x_t, walk(teacher(labels), schedule, x_t, route), t, s)
    given, _ = data_and_noise(schedule, prediction, x_t, t, student(x_t, t, labels))
    alpha, sigma = shares(schedule, t, x_t)
    return ((alpha / sigma).square().clamp(min=1) * (given - wanted).square()).mean()
