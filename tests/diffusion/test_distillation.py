"""Distillation: the target takes a student where the teacher arrives; Gaussian data have a student in closed form."""

import math

import pytest
import torch
from torch import nn

from companion.diffusion.ddim import ddim_sample, ddim_step
from companion.diffusion.distillation import DistillationLoss, answer_for, teacher_timesteps
from companion.diffusion.gaussian import gaussian_denoiser, gaussian_factor
from companion.diffusion.paths import VariancePreserving, cosine_schedule, q_sample
from companion.diffusion.prediction import as_denoiser, to_prediction
from companion.diffusion.times import timesteps
from companion.training import TrainConfig, train
from tests.conftest import rejects

S = cosine_schedule(1000)


def test_the_target_is_the_inverse_of_a_ddim_step() -> None:
    x, x0 = torch.randn(4, 2, 3).double(), torch.randn(4, 2, 3).double()
    t, s = torch.tensor([999, 700, 300, 20]), torch.tensor([750, 2, -1, 19])
    torch.testing.assert_close(
        answer_for(S, x, ddim_step(S, to_prediction(S, "x0", x, t, x0), t, s), t, s), x0, rtol=0, atol=1e-7
    )


def test_printed_target_I60() -> None:
    x_t, x_s, t, s = 0.7, -0.4, 600, 250
    a_t, a_s = (math.sqrt(float(S.alpha_bar[k])) for k in (t, s))
    rho = math.sqrt((1 - a_s**2) / (1 - a_t**2))
    got = answer_for(S, *(torch.tensor([[v]]).double() for v in (x_t, x_s)), torch.tensor([t]), torch.tensor([s]))
    assert got.item() == pytest.approx((x_s - rho * x_t) / (a_s - rho * a_t))


def test_the_student_that_answers_the_target_follows_the_teacher_step_by_step() -> None:
    """Truth: with the target as its prediction, 4 steps end where the teacher's 16 end, for any teacher."""
    x = torch.randn(3, 2).double()

    def teacher(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.sin(2 * x + t[:, None].to(x) / 400)

    rows = teacher_timesteps(1000, 16, 4)
    by_start = {int(row[0]): row for row in rows}
    teacher_denoiser = as_denoiser(teacher, S, "x0")

    def student(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        times = by_start[int(t[0])].expand(len(x), -1)
        return answer_for(S, x, ddim_sample(teacher_denoiser, S, x, times), times[:, 0], times[:, -1])

    got = ddim_sample(as_denoiser(student, S, "x0"), S, x, 4)
    torch.testing.assert_close(got, ddim_sample(teacher_denoiser, S, x, 16), rtol=0, atol=1e-7)


def test_for_gaussian_data_the_perfect_student_is_a_known_factor() -> None:
    """Many small teacher steps for N(0, std²): the one-step student's answer tends to std · x at the last step."""
    std, x = 0.4, torch.tensor([[1.0], [-2.0]]).double()
    times = teacher_timesteps(1000, 1000, 1).expand(2, -1)
    answer = answer_for(S, x, ddim_sample(gaussian_denoiser(S, std), S, x, times), times[:, 0], times[:, -1])
    torch.testing.assert_close(answer, gaussian_factor(S, std, 999, -1) * x, rtol=0.01, atol=0)


@pytest.mark.parametrize(("teacher_steps", "student_steps"), [(16, 4), (4, 1), (8, 8), (30, 6)])
def test_rows_are_the_teachers_steps_and_begin_at_the_students(teacher_steps: int, student_steps: int) -> None:
    rows = teacher_timesteps(1000, teacher_steps, student_steps)
    assert rows.shape == (student_steps, teacher_steps // student_steps + 1)
    assert rows[:, 0].tolist() == timesteps(1000, student_steps)
    assert rows[:-1, -1].tolist() == rows[1:, 0].tolist()
    assert rows[:, :-1].flatten().tolist() == timesteps(1000, teacher_steps)
    assert rows[-1, -1] == -1


class Scale(nn.Module):
    """A student with one number for each of its steps: what it multiplies x_t by to predict the data."""

    def __init__(self, starts: list[int]) -> None:
        super().__init__()
        self.starts, self.factor = starts, nn.Parameter(torch.zeros(len(starts), dtype=torch.float64))

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rows = torch.tensor([self.starts.index(int(step)) for step in t])
        return self.factor[rows][:, None] * x


def test_learning_finds_the_closed_form_student() -> None:
    """Gaussian data, a linear student: training on the loss ends at the factors that follow from the teacher's steps."""
    std, rows = 0.5, teacher_timesteps(1000, 8, 2)
    data = torch.randn(512, 4).double() * std
    student, exact = Scale(rows[:, 0].tolist()), gaussian_denoiser(S, std)
    loss = DistillationLoss(S, lambda _: exact, rows, "x0")
    config = TrainConfig(steps=250, batch_size=32, lr=0.05, weight_decay=0.0)
    trained = train(student, loss, (data, torch.zeros(512, dtype=torch.int64)), config).model
    x = torch.ones(1, 1).double()
    for i, row in enumerate(rows):
        want = answer_for(S, x, ddim_sample(exact, S, x, row[None]), row[:1], row[-1:]).item()
        assert float(trained.factor.detach()[i]) == pytest.approx(want, abs=0.01)
    ours = ddim_sample(as_denoiser(lambda x, t: trained(x, t, None), S, "x0"), S, x, 2).item()
    theirs = ddim_sample(exact, S, x, 2).item()  # the teacher's own two steps
    assert abs(ours - std) < 0.5 * abs(theirs - std)


def test_the_weight_is_the_truncated_ratio_and_the_loss_a_mean_over_pixels() -> None:
    schedule = VariancePreserving(torch.tensor([0.1, 0.8], dtype=torch.float64))
    x0, rows = torch.zeros(3, 2, 2).double(), torch.tensor([[0, -1]])
    teacher = as_denoiser(lambda x, t: torch.zeros_like(x), schedule, "x0")
    loss = DistillationLoss(schedule, lambda labels: teacher, rows, "x0")
    value = loss(lambda x, t, y: torch.full_like(x, 2.0), (x0, torch.zeros(3).long()), torch.Generator().manual_seed(0))
    assert value.item() == pytest.approx(4 * 0.9 / 0.1)


def test_the_teacher_gets_no_gradient_and_the_student_does() -> None:
    net = nn.Linear(3, 3).double()

    def answer(x: torch.Tensor, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return net(x)

    teacher, student = nn.Linear(3, 3).double(), answer
    loss = DistillationLoss(S, lambda _: as_denoiser(lambda x, t: teacher(x), S, "v"), teacher_timesteps(1000, 8, 2))
    batch = (torch.randn(5, 3).double(), torch.arange(5))
    loss(student, batch, torch.Generator().manual_seed(0)).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(bool((p.grad != 0).any()) for p in net.parameters())


def test_the_loss_is_that_of_the_steps_that_its_generator_draws() -> None:
    """Half-way between: the same draws by hand give the same number."""
    rows, x0 = teacher_timesteps(1000, 4, 2), torch.randn(6, 3).double()
    exact, generator = gaussian_denoiser(S, 0.7), torch.Generator().manual_seed(5)
    loss = DistillationLoss(S, lambda _: exact, rows, "x0")
    got = loss(lambda x, t, y: 0.1 * x, (x0, torch.zeros(6).long()), torch.Generator().manual_seed(5))
    drawn = torch.randint(2, (6,), generator=generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    total = 0.0
    for i, row in enumerate(rows[drawn]):
        x = q_sample(S, x0[i : i + 1], row[:1], noise[i : i + 1])
        want = answer_for(S, x, ddim_sample(exact, S, x, row[None]), row[:1], row[-1:])
        bar = float(S.alpha_bar[row[0]])
        total += max(1.0, bar / (1 - bar)) * float((want - 0.1 * x).square().mean()) / 6
    assert got.item() == pytest.approx(total)


def test_bad_input() -> None:
    with rejects("multiple"):
        teacher_timesteps(1000, 10, 4)
    with rejects("teacher_steps"):
        teacher_timesteps(1000, 2, 4)
    with rejects("t, s"):
        answer_for(S, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([5]), torch.tensor([5]))
