"""Shortcuts: steps that fit each other, a perfect student that the loss leaves alone, and one that learns Gaussian data."""

import pytest
import torch
from torch import Tensor, nn

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.distillation import answer_for
from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.prediction import as_denoiser
from companion.diffusion.shortcut import ShortcutLoss, in_steps
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects

PATH, STD = RectifiedFlow(), 0.5
TEACHER = gaussian_denoiser(PATH, STD)


def shifted(n: int) -> list[float]:
    return [t / (t + 3 * (1 - t)) for t in PATH.times(n)]


def loss(finest: int = 8) -> ShortcutLoss:
    return ShortcutLoss(PATH, "x0", lambda *condition: TEACHER, shifted, finest)


def perfect(finest: int):
    """What has to be said at any number of steps to arrive where the teacher does in its finest."""

    def answer(x_t: Tensor, t: Tensor, steps: Tensor) -> Tensor:
        fine = torch.tensor(shifted(finest)).to(x_t)
        said = torch.empty_like(x_t)
        for i, (time, n) in enumerate(zip(t, steps, strict=True)):
            first = int((fine - time).abs().argmin())
            times = fine[first : first + finest // int(n) + 1][None]
            arrived = ddim_sample(TEACHER, PATH, x_t[i : i + 1], times)
            said[i] = answer_for(PATH, x_t[i : i + 1], arrived, times[:, 0], times[:, -1])[0]
        return said

    return answer


def test_what_is_drawn_is_a_step_of_that_many_and_its_middle_one_of_twice_as_many() -> None:
    steps, times = loss(8)._draw(600, gen(), torch.zeros(1))
    assert set(steps.tolist()) == {1, 2, 4, 8}
    for n, row in zip(steps.tolist(), times, strict=True):
        coarse, fine = torch.tensor(shifted(n)), torch.tensor(shifted(2 * n))
        i = int((coarse - row[0]).abs().argmin())
        torch.testing.assert_close(row, torch.stack([coarse[i], fine[2 * i + 1], coarse[i + 1]]))
    eight = times[steps == 8][:, 0]
    assert len({round(float(t), 5) for t in eight}) == 8
    assert all(abs(float((steps == n).float().mean()) - 0.25) < 0.08 for n in (1, 2, 4, 8))


def test_the_perfect_student_has_no_loss_and_others_have() -> None:
    student, x = perfect(8), STD * torch.randn(200, 2, generator=gen(1)).double()
    assert float(loss(8)(student, (x,), gen(2))) < 1e-10
    assert float(loss(8)(lambda x_t, t, steps: TEACHER(x_t, t).x0, (x,), gen(2))) > 1e-4


def test_the_error_is_that_of_the_velocity() -> None:
    """A student that says 0.1 more than is right at the largest number of steps is wrong by 0.1 / (1 - t) there."""
    x, seen = STD * torch.randn(400, 2, generator=gen(1)).double(), []

    def student(x_t: Tensor, t: Tensor, steps: Tensor) -> Tensor:
        seen.append(t)
        return TEACHER(x_t, t).x0 + 0.1

    got = float(loss(1)(student, (x,), gen(2)))
    assert got == pytest.approx(float((0.1 / (1 - seen[0])).square().mean()), rel=1e-5)


def test_a_small_network_learns_to_arrive_in_one_step() -> None:
    class Net(nn.Module):
        """Gaussian data: what has to be said is a factor times x, for each time and number of steps."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

        def forward(self, x_t: Tensor, t: Tensor, steps: Tensor) -> Tensor:
            return x_t * self.inner(torch.stack([t, 1 / steps], dim=1).to(x_t))

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor]:
        return (STD * torch.randn(n, 4, generator=generator),)

    trained = train(
        Net(), loss(8), draw, TrainConfig(steps=600, batch_size=64, lr=5e-3, final_lr=0.02, seed=0)
    ).model.eval()
    z = torch.randn(500, 4, generator=gen(3))
    want = ddim_sample(TEACHER, PATH, z, torch.tensor(shifted(8)).tolist())
    common = ddim_sample(as_denoiser(lambda x, t: TEACHER(x, t).x0, PATH, "x0"), PATH, z, 1)
    for n in (1, 2, 8):
        told = torch.full((len(z),), n)
        got = ddim_sample(in_steps(trained, PATH, "x0", (), told), PATH, z, shifted(n))
        assert float((got - want).square().mean()) < 0.01 * float(want.square().mean())
    assert float(common.square().mean()) < 1e-6  # one common step ends at the mean of all data


def test_bad_input() -> None:
    with rejects("finest"):
        loss(6)
